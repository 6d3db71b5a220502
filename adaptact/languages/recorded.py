"""Sentences that a file or a server holds in English, said in the language of now."""

import re
from collections.abc import Iterator
from functools import lru_cache

from adaptact.languages.catalogue import Language, list_messages, translate
from adaptact.languages.joining import join_list, join_sentences
from adaptact.languages.spoken import spoken

_LONGEST, LONGEST_SENTENCE = 4000, 400
"""The most characters that are tried: the time of a hostile sentence grows with their fourth power."""
_FEWEST = 6
"""So many characters of its own make a message known: in one of fewer, places may stand for anything."""
_BETWEEN_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z0-9])")
_LATIN = re.compile("[A-Za-z]")
_RANGE = re.compile(r"([−\d.e+]+) to ([−\d.e+]+)")


def retell(text: str) -> str:
    """The text, sentence by sentence, in the spoken language; what is none of our messages stays as it is."""
    if spoken() == "en" or len(text) > _LONGEST:
        return text
    sentences = _BETWEEN_SENTENCES.split(text)
    told = [
        _retell(sentence, spoken()) if len(sentence) <= LONGEST_SENTENCE else None for sentence in sentences
    ]
    return text if all(known is None for known in told) else join_sentences(_keep(told, sentences))


def _keep(told: list[str | None], originals: list[str]) -> list[str]:
    return [original if known is None else known for known, original in zip(told, originals, strict=True)]


@lru_cache(maxsize=10_000)
def _retell(text: str, language: Language) -> str | None:
    """Of all messages that the text may be, the one that leaves the least of it in English."""
    if found := _RANGE.fullmatch(text):
        return translate("{low} to {high}", language, low=found[1], high=found[2])
    if " " not in text:  # one word may be anybody's name
        return None
    best: str | None = None
    for candidate in _list_candidates(text, language):
        if best is None or _count_letters(candidate) < _count_letters(best):
            best = candidate
        if not _count_letters(best):
            break
    return best


def _list_candidates(text: str, language: Language) -> Iterator[str]:
    items = text.split(", ")
    if len(items) > 1 and None not in (told := [_retell(item, language) for item in items]):
        yield join_list(_keep(told, items), language)
    for message, pattern in _read_patterns():
        if found := pattern.fullmatch(text):
            places = {name: _retell(value, language) or value for name, value in found.groupdict().items()}
            yield translate(message, language, **places)


def _count_letters(text: str) -> int:
    return len(_LATIN.findall(text))


@lru_cache
def _read_patterns() -> list[tuple[str, re.Pattern[str]]]:
    """Those that begin in their own words first, so that they stand around the others."""
    sizes = {text: len(re.sub(r"\{\w+\}|\s", "", text)) for text in list_messages()}
    known = [text for text in sizes if sizes[text] >= _FEWEST and " " in text]
    known.sort(key=lambda text: (text.startswith("{"), -sizes[text]))
    return [(text, re.compile(_make_pattern(text), re.DOTALL)) for text in known]


def _make_pattern(message: str) -> str:
    """Each place is a group; the second of a name has to be as the first."""
    seen: set[str] = set()

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        inner = ".*?[a-z]{3}.*?" if name == "does" else ".+?"  # what is done is words, not a number
        group = f"(?P={name})" if name in seen else f"(?P<{name}>{inner})"
        seen.add(name)
        return group

    return re.sub(r"\\\{(\w+)\\\}", replace, re.escape(message))
