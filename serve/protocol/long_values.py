"""Lists and objects of long JSON texts: numbers as arrays, everything else as Python's values."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import simdjson

from serve.engine.signature import Array

Part: TypeAlias = "Array | RaggedNumbers | list[Any] | LongList | LongObject"


@dataclass(frozen=True, slots=True)
class RaggedNumbers:
    """Numbers in lists that are not all of one shape: all in order, and the JSON list of so many values.

    Millions of small lists would take Python seconds, and an input that counts only the numbers needs none.
    """

    flat: Array
    text: bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def tolist(self) -> list[Any]:
        """The values as lists."""
        values: list[Any] = simdjson.Parser().parse(self.text).as_list()  # type: ignore[union-attr]  # a list
        return values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())


class LongObject(dict[str, object]):
    """An object that was read in pieces; its values may be `LongList` or `LongObject`."""


class LongList:
    """A list that was read in pieces, in order.

    A part is an array of numbers, whose rows are as many of the list's values; ragged numbers or a list of as
    many values; or a value that was itself read in pieces.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def __len__(self) -> int:
        return sum(1 if isinstance(part, (LongList, LongObject)) else len(part) for part in self.parts)

    def __iter__(self) -> Iterator[object]:
        for part in self.parts:
            if isinstance(part, (LongList, LongObject)):
                yield part
            else:
                yield from part

    @property
    def is_numeric(self) -> bool:
        """Whether there is nothing but numbers in it, and lists of numbers."""
        return not any(
            isinstance(part, (list, RaggedNumbers, LongObject))
            or (isinstance(part, LongList) and not part.is_numeric)
            for part in self.parts
        )


def to_plain(value: object) -> object:
    """The value with lists and dicts of Python in place of `LongList` and `LongObject`."""
    if isinstance(value, LongObject):
        return {name: to_plain(member) for name, member in value.items()}
    if not isinstance(value, LongList):
        return value
    plain: list[object] = []
    for part in value.parts:
        if isinstance(part, (LongList, LongObject)):
            plain.append(to_plain(part))
        else:
            plain.extend(part if isinstance(part, list) else part.tolist())
    return plain
