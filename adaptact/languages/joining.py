"""Lists and sentences put together as a language does it."""

from collections.abc import Iterable

from adaptact.languages.catalogue import Language, translate
from adaptact.languages.spoken import spoken


def join_list(items: Iterable[str], language: Language | None = None) -> str:
    """The items as one list, in the language that is spoken or in another one."""
    return translate(", ", language or spoken()).join(items)


def join_sentences(sentences: Iterable[str], language: Language | None = None) -> str:
    """Sentences after each other; Japanese has no space between them."""
    return ("" if (language or spoken()) == "ja" else " ").join(sentences)
