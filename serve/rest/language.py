"""The language that a client asks for by `Accept-Language`: of errors, and of sentences in answers."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Depends, Header

from adaptact.languages.catalogue import LANGUAGES, Language
from serve.experiments.reasons import REASONS

ACCEPT_LANGUAGE = b"accept-language"
CHANGED = REASONS["changed"].partition("{")[0]
MOST_CHARACTERS, MOST_TAGS = 200, 20


def choose_language(accepted: str) -> Language:
    """The language that is there and preferred most; English where none is, or nothing is asked for."""
    best: tuple[float, Language] = (0.0, "en")
    for part in accepted[:MOST_CHARACTERS].lower().split(",")[:MOST_TAGS]:
        tag, _, quality = part.partition(";q=")
        language = next((each for each in LANGUAGES if tag.strip().split("-")[0] == each), None)
        weight = _read_weight(quality)
        if language is not None and weight > best[0]:
            best = weight, language
    return best[1]


def _read_weight(quality: str) -> float:
    try:
        weight = float(quality or 1)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0


def read_language(headers: Iterable[tuple[bytes, bytes]]) -> Language:
    """That of a request's headers, as ASGI has them."""
    accepted = next((value for name, value in headers if name == ACCEPT_LANGUAGE), b"")
    return choose_language(accepted.decode("latin-1"))


def tell(message: str, language: Language) -> str:
    """The message in the language, as far as its words are known."""
    if language == "en":
        return message
    # Imported only where it is used: it takes the memory of all messages.
    from adaptact.languages.recorded import retell  # noqa: PLC0415
    from adaptact.languages.spoken import speak  # noqa: PLC0415

    with speak(language):
        return retell(message)


def tell_change(reason: str, language: Language) -> str:
    """The reason of a phase, in which that of a change is told: readers know the others by their words."""
    before, mark, change = reason.partition(CHANGED)
    return f"{before}{mark}{tell(change, language)}" if mark else reason


def describe_language(language: Language) -> Mapping[str, str]:
    """The headers of an answer in another language than a client without `Accept-Language` would get."""
    return {} if language == "en" else {"Content-Language": language, "Vary": "Accept-Language"}


def _find_language(
    accept_language: Annotated[
        str, Header(description="`ja` for sentences and errors in Japanese; they are English without it.")
    ] = "",
) -> Language:
    return choose_language(accept_language)


AskedLanguage = Annotated[Language, Depends(_find_language)]
"""Of a route's answer."""
