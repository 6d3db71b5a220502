"""YAML that may be hostile, as plain data with the place of every value.

Taken from the parser's events one by one, so that nothing is built before it is bounded. Only what JSON has
is allowed: no anchors (a few lines of them can stand for gigabytes), no tags (they can name Python objects),
no repeated keys, one document. Numbers, booleans and null are those of YAML 1.2's core schema, so that `no`
is a text; keys are always texts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import yaml

from serve.engine.errors import quote
from serve.experiments.errors import DefinitionError, Mistake

MAX_DEPTH = 16
MAX_VALUES = 100_000
MAX_NUMBER_CHARACTERS = 64
Key: TypeAlias = tuple[str | int, ...]
Content: TypeAlias = "bool | int | float | str | list[Content] | dict[str, Content] | None"

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same events, ten times as fast


class _Position(NamedTuple):
    """A place in the text, from 0, as the parser counts."""

    line: int
    column: int


_Mark: TypeAlias = "yaml.error.Mark | yaml._yaml.Mark | _Position | None"


@dataclass(frozen=True)
class Document:
    """Plain data, and where in the file each value and each key stands."""

    file: str
    content: Content
    values: dict[Key, tuple[int, int]]
    keys: dict[Key, tuple[int, int]]
    prefix: Key = ()

    def below(self, path: Key) -> "Document":
        """The same document, with paths that begin at `path`."""
        return replace(self, prefix=(*self.prefix, *path))

    def locate(self, path: Key, is_key: bool) -> tuple[str, int, int]:
        """File, line and column of the value, or of its key; of what surrounds it where it is not there."""
        path = (*self.prefix, *path)
        if is_key and path in self.keys:
            return (self.file, *self.keys[path])
        while path and path not in self.values:
            path = path[:-1]
        return (self.file, *self.values.get(path, (1, 1)))


def read_document(text: str, file: str) -> Document:
    """The text's one document; an empty text is null. Raises `DefinitionError` with the place."""
    composer = _Composer(text, file)
    return Document(file, composer.compose(), composer.values, composer.keys)


class _Composer:
    """Makes plain data of the parser's events."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._text = text
        self.values: dict[Key, tuple[int, int]] = {}
        self.keys: dict[Key, tuple[int, int]] = {}

    def compose(self) -> Content:
        """The content of the only document."""
        events = self._events()
        content: Content = None
        is_first = True
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if not is_first:
                    raise self._error(
                        event.start_mark, "one document", "another one", "remove the line `---`"
                    )
                is_first = False
                content = self._compose_node(next(events), events, ())
        return content

    def _events(self) -> Iterator[yaml.Event]:
        """The parser's events, its errors with their place."""
        try:
            yield from yaml.parse(self._text, Loader=_Loader)
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position]
            mark = _Position(before.count("\n"), len(before) - before.rfind("\n") - 1)
            raise self._error(
                mark, "characters that YAML allows", quote(f"U+{error.character:04X}")
            ) from error
        except yaml.MarkedYAMLError as error:
            got = quote(error.problem or "an error")
            raise self._error(error.problem_mark, "YAML", got) from error

    def _compose_node(self, event: yaml.Event, events: Iterator[yaml.Event], path: Key) -> Content:
        self._refuse_extras(event)
        self.values.setdefault(path, _place(event.start_mark))
        if len(self.values) > MAX_VALUES:
            raise self._error(event.start_mark, f"at most {MAX_VALUES:,} values", "more")
        if isinstance(event, yaml.ScalarEvent):
            return self._read_scalar(event)
        if len(path) >= MAX_DEPTH:
            raise self._error(event.start_mark, f"at most {MAX_DEPTH} levels", "more")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._compose_list(events, path)
        return self._compose_mapping(events, path)

    def _compose_list(self, events: Iterator[yaml.Event], path: Key) -> list[Content]:
        items: list[Content] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._compose_node(event, events, (*path, len(items))))
        return items

    def _compose_mapping(self, events: Iterator[yaml.Event], path: Key) -> dict[str, Content]:
        entries: dict[str, Content] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key, value = self._read_key(event), next(events)
            entry = (*path, key)
            if key in entries:
                line, _ = self.keys[entry]
                got = f"{quote(key)} again, as in line {line}"
                raise self._error(event.start_mark, "each key once", got, "remove one of them")
            self.keys[entry] = _place(event.start_mark)
            # A list or mapping below its key is looked for at the key.
            if not isinstance(value, yaml.ScalarEvent):
                self.values[entry] = self.keys[entry]
            entries[key] = self._compose_node(value, events, entry)
        return entries

    def _read_key(self, event: yaml.Event) -> str:
        self._refuse_extras(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error(event.start_mark, "a text as key", "a list or a mapping")
        return event.value

    def _refuse_extras(self, event: yaml.Event) -> None:
        """Raises for what JSON has not."""
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            hint = "write the value out where it is needed; quote a text that begins with `&` or `*`"
            raise self._error(event.start_mark, "no anchors and aliases", quote(anchor), hint)
        if tag is not None:
            hint = "write a plain value; quote a text that begins with `!`"
            raise self._error(event.start_mark, "no tags", quote(tag), hint)

    def _read_scalar(self, event: yaml.ScalarEvent) -> Content:
        """The value of YAML 1.2's core schema; whatever is quoted is a text."""
        text: str = event.value
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        is_whole = _WHOLE.fullmatch(text)
        if not is_whole and not _FLOAT.fullmatch(text):
            return text
        if len(text) > MAX_NUMBER_CHARACTERS:
            expected = f"a number of at most {MAX_NUMBER_CHARACTERS} characters"
            raise self._error(event.start_mark, expected, quote(text), "quote it if it is a text")
        return int(text) if is_whole else float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def _error(self, mark: _Mark, expected: str, got: str, hint: str = "") -> DefinitionError:
        return DefinitionError([Mistake("", expected, got, hint, self._file, *_place(mark))])


def _place(mark: _Mark) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)
