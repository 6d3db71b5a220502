"""Messages in a language: English stands in the code, the others in catalogues of gettext."""

import gettext
from functools import lru_cache
from importlib import resources
from typing import Literal, TypeAlias, get_args

Language: TypeAlias = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
DOMAIN = "adaptact"


def translate(text: str, language: Language, /, **values: object) -> str:
    """The text in the language, its {names} replaced by the values; a text without entry stays English."""
    found = _read_catalogue(language).gettext(text) if text else text
    return found.format(**values) if values else found


def translate_count(one: str, many: str, number: int, language: Language, /, **values: object) -> str:
    """The text for so many things; {number} in it is the number with separators."""
    found = _read_catalogue(language).ngettext(one, many, number)
    return found.format(number=f"{number:,}", **values)


def mark(text: str) -> str:
    """The text itself: a message that is translated where it is used, not where it is written."""
    return text


def list_messages() -> list[str]:
    """The English of every message in the catalogues."""
    known = _read_catalogue("ja")._catalog  # type: ignore[attr-defined]  # gettext lists them nowhere else
    return [text for text in known if isinstance(text, str) and text]


@lru_cache
def _read_catalogue(language: Language) -> gettext.NullTranslations:
    if language == "en":
        return gettext.NullTranslations()
    file = resources.files(__package__).joinpath("locales", language, f"{DOMAIN}.mo")
    with file.open("rb") as content:
        return gettext.GNUTranslations(content)
