"""The language that is spoken now: what writes a report says its texts without naming it each time."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from adaptact.languages.catalogue import LANGUAGES, Language, translate, translate_count

_SPOKEN: ContextVar[Language] = ContextVar("spoken", default="en")
_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Where people say their language, the strongest first, as POSIX has it."""


@contextmanager
def speak(language: Language) -> Iterator[None]:
    """Within it `say` speaks the language, in this thread or task only."""
    token = _SPOKEN.set(language)
    try:
        yield
    finally:
        _SPOKEN.reset(token)


def spoken() -> Language:
    """The language of `say`: English outside of `speak`."""
    return _SPOKEN.get()


def say(text: str, /, **values: object) -> str:
    """The text in the spoken language, its {names} replaced by the values."""
    return translate(text, spoken(), **values)


def say_all(*texts: str) -> tuple[str, ...]:
    """Each of the texts in the spoken language, such as the header of a table."""
    return tuple(say(text) for text in texts)


def say_count(one: str, many: str, number: int, /, **values: object) -> str:
    """The text for so many things in the spoken language; {number} in it is the number."""
    return translate_count(one, many, number, spoken(), **values)


def choose_language(environment: Mapping[str, str] = os.environ) -> Language:
    """The language that the environment asks for; English where it asks for none that there is."""
    asked = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    return next((each for each in LANGUAGES if asked.lower().startswith(each)), "en")
