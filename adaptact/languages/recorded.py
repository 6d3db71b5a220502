"""Sentences that a file or a server holds in English, said in the language of now."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from adaptact.languages.catalogue import Language, list_messages, mark, translate
from adaptact.languages.joining import join_sentences
from adaptact.languages.spoken import spoken

_LONGEST = 4000
LONGEST_SENTENCE = 1000
"""The most characters that are looked up."""
_DEEPEST, _MOST_CANDIDATES = 4, 8
"""How often a place may hold a message of its own, and how many messages one text is held for."""
_FEWEST = 5
"""So many characters of its own make a message known: in one of fewer, places may stand for anything."""
_BETWEEN_SENTENCES = re.compile(r"(?<=\.) (?=[A-Z0-9])")
_QUOTED, _ENGLISH = re.compile("`[^`]*`(?:, `[^`]*`)*"), re.compile("[A-Za-z]|[,;:] ")
_RANGE = re.compile(r"([−\d.e+]+) to ([−\d.e+]+)")
_PLACE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_WORDS = re.compile("[a-z]{3}")
_LISTS, _AND = ("; ", ", "), mark(" and ")
_LONGEST_LIST = 20
_ASIDE = re.compile(r"(.+) \((.+)\)", re.DOTALL)
_PHRASE = re.compile(r"([,;:]? |)(.+?)( ?)", re.DOTALL)
_STATES = (mark("unloaded"), mark("loading"), mark("unloading"), mark("unavailable"))
"""Of a model, which are reasons by themselves."""
_ALONE: Mapping[str, Sequence[str]] = {
    "value": _STATES,
    "kind": (mark("input"), mark("output"), mark("number")),
    **dict.fromkeys(("got", "hint"), (mark("nothing"), mark("none"))),
    "activity": (mark("waiting"), mark("running")),
    "strerror": (
        *(mark("Permission denied"), mark("No such file or directory"), mark("No space left on device")),
        *(mark("Read-only file system"), mark("Input/output error"), mark("Is a directory")),
    ),
}
"""What a place of this name may hold that is nobody's name, although it is a word alone or the system's."""
WHOLE = (mark("the request"), mark("the file"))
"""What stands for a name where there is none."""
PHRASES = (mark("input {name}"), mark("output {name}"), mark("activation {name}"))
"""What code makes of a word and a name, which is all that may follow the word."""
_NAMED = re.compile(r"(input|output|activation) (`[^`]*`\S*|\S+)")

SETS = (mark("large"), mark("tiny"), mark("zero"), mark("boundary"), mark("inf"), mark("example"))
"""The names of sets of samples that are one word, and below those that have few of their own."""
_SHORT_SETS = (mark("{name} all {pattern}"), mark("{name} {least} to {most}"))


def retell_set(name: str) -> str:
    """The name of a set of samples, or any other recorded text, in the spoken language."""
    if name in SETS:
        return translate(name, spoken())
    if (told := retell(name)) == name and spoken() != "en":
        for message in _SHORT_SETS:
            if found := _Pattern(message).match(name):
                words = {place: translate(value, spoken()) for place, value in found.items() if value in SETS}
                return translate(message, spoken(), **{**found, **words})
    return told


def retell(text: str) -> str:
    """The text in the spoken language, as one or by its sentences; what is none of our messages stays."""
    if spoken() == "en" or len(text) > _LONGEST:
        return text
    if text in _STATES:
        return translate(text, spoken())
    whole, *sentences = (_retell_short(part) for part in (text, *_BETWEEN_SENTENCES.split(text)))
    told = [whole] if whole is not None else []
    if any(known is not None for known in sentences):
        told.append(join_sentences(_keep(sentences, _BETWEEN_SENTENCES.split(text))))
    best = min(told, key=_count_english, default=None)
    return text if best is None else best.replace("`, `", f"`{translate(', ', spoken())}`")


def _retell_short(text: str) -> str | None:
    return _retell(text, spoken()) if 0 < len(text) <= LONGEST_SENTENCE else None


def _keep(told: list[str | None], originals: list[str]) -> list[str]:
    return [original if known is None else known for known, original in zip(told, originals, strict=True)]


@lru_cache(maxsize=2000)  # some megabytes of hostile texts
def _retell(text: str, language: Language, depth: int = 0) -> str | None:
    """Of the messages that the text may be, the one that leaves the least of it in English."""
    if found := _RANGE.fullmatch(text):
        return translate("{low} to {high}", language, low=found[1], high=found[2])
    if found := _NAMED.fullmatch(text):
        return translate(f"{found[1]} {{name}}", language, name=found[2])
    if " " not in text or depth > _DEEPEST:  # one word may be anybody's name
        return None
    best: str | None = None
    for candidate in itertools.islice(_list_candidates(text, language, depth + 1), _MOST_CANDIDATES):
        if best is None or _count_english(candidate) < _count_english(best):
            best = candidate
        if not _count_english(best):
            break
    return best


def _list_candidates(text: str, language: Language, depth: int) -> Iterator[str]:
    parts = [_retell(part, language, depth) for part in text.split(_AND, _LONGEST_LIST)]
    if len(parts) > 1 and None not in parts:
        yield translate(_AND, language).join(filter(None, parts))
    for pattern in _list_patterns(text):
        found = pattern.match(text)
        if found is not None:
            places = {name: _retell_place(name, value, language, depth) for name, value in found.items()}
            yield translate(pattern.message, language, **places)
    yield from _list_compounds(text, language, depth)


def _list_compounds(text: str, language: Language, depth: int) -> Iterator[str]:
    """The text as a list, as what is said of something, or with an aside, as far as the parts are known."""
    for separator in _LISTS:
        items = text.split(separator)
        if 1 < len(items) <= _LONGEST_LIST:
            told = [_retell(item, language, depth) for item in items]
            if any(told):
                yield translate(separator, language).join(_keep(told, items))
    head, _, rest = text.partition(": ")
    if rest and (_NAMED.fullmatch(head) or _QUOTED.fullmatch(head)):
        told_rest = _retell(rest, language, depth) or rest
        yield f"{_retell(head, language, depth) or head}{translate(': ', language)}{told_rest}"
    if (aside := _ASIDE.fullmatch(text)) and (told_before := _retell(aside[1], language, depth)):
        yield f"{told_before} ({_retell(aside[2], language, depth) or aside[2]})"


def _retell_place(name: str, value: str, language: Language, depth: int) -> str:
    """What stands in the place, unless it is somebody's name; the separator before it is the language's."""
    if value in _ALONE.get(name, ()):
        return translate(value, language)
    phrase = _PHRASE.fullmatch(value)
    if phrase is None or (told := _retell(phrase[2], language, depth)) is None:
        return value
    return (translate(phrase[1], language) if phrase[1].strip() else phrase[1]) + told + phrase[3]


def _count_english(text: str) -> int:
    """How many letters and separators of it are English, beside names in backticks."""
    return len(_ENGLISH.findall(_QUOTED.sub("", text)))


@dataclass(frozen=True)
class _Pattern:
    """A message as the texts that it may have become: what stands in each place has any length."""

    message: str

    @cached_property
    def parts(self) -> list[str]:
        """What the message says itself and the names of its places, in turns."""
        parts = _PLACE.split(self.message)
        if len(parts) > 1:  # it is filled in, where two braces are one
            parts[::2] = [part.replace("{{", "{").replace("}}", "}") for part in parts[::2]]
        return parts

    @cached_property
    def size(self) -> int:
        """How many characters it says itself."""
        return sum(len(part.replace(" ", "")) for part in self.parts[::2])

    def match(self, text: str) -> Mapping[str, str] | None:
        """What stands in the places, each as short as can be; None where the text is none of this message.

        Takes time that grows with the text's length only.
        """
        first, *rest = self.parts
        if not rest:
            return {} if text == first else None
        last = rest[-1]
        if not text.startswith(first) or not text.endswith(last):
            return None
        found: dict[str, str] = {}
        place, end = len(first), len(text) - len(last)
        for number, name in enumerate(rest[::2]):
            begin, after = place, rest[2 * number + 1]
            place = end if 2 * number + 2 == len(rest) else _find_outside_quotes(after, text, begin, end)
            if place < begin:
                return None
            if found.setdefault(name, text[begin:place]) != text[begin:place]:
                return None
            place += len(after)
        does = found.get("does")  # what is done is words, not a number
        return None if does is not None and not _WORDS.search(does) else found


def _find_outside_quotes(after: str, text: str, begin: int, end: int) -> int:
    """Where it is first behind what is quoted whole; -1 where it is nowhere."""
    place = text.find(after, begin, end)
    while place > begin and text.count("`", begin, place) % 2:
        place = text.find(after, place + 1, end)
    return place


def _list_patterns(text: str) -> Iterator[_Pattern]:
    """Those that may be the text by its ends and their longest part; those that say more come first."""
    known, ends = _read_patterns(), itertools.product((text[0], ""), (text[-1], ""))
    found = [pattern for end in ends for part, pattern in known.get(end, ()) if part in text]
    yield from sorted(found, key=lambda pattern: (not pattern.parts[0], -pattern.size))


@lru_cache
def _read_patterns() -> dict[tuple[str, str], list[tuple[str, _Pattern]]]:
    """The patterns, with their longest part, by their first and last character: none for a place."""
    by_ends: dict[tuple[str, str], list[tuple[str, _Pattern]]] = {}
    for pattern in (_Pattern(text) for text in list_messages() if " " in text and text not in PHRASES):
        if pattern.size >= _FEWEST:
            ends = pattern.parts[0][:1], pattern.parts[-1][-1:]
            by_ends.setdefault(ends, []).append((max(pattern.parts[::2], key=len), pattern))
    return by_ends
