"""What every kind of source does: it lists its files, and hands out one."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source, under the path that it has in a models folder, such as `digits/1/model.onnx`."""

    path: str
    size: int
    """In bytes."""
    stamp: str
    """Another one whenever the content is another one: a digest, or an ETag."""
    sha256: str = ""
    """In hexadecimal, where the listing has it."""
    where: str = ""
    """The source's own name of it."""


@dataclass(frozen=True, slots=True)
class Download:
    """A file's content, in pieces that arrive while they are read."""

    pieces: Iterable[bytes]
    sha256: str = ""
    """In hexadecimal, where the answer has it."""


class Source(Protocol):
    """Where models come from. Both methods raise `SourceError`, also while what they return is iterated."""

    def list_files(self) -> Iterator[SourceFile]:
        """Every file there is now, as the source says; nothing of it is checked."""
        ...

    def open(self, file: SourceFile) -> Download:
        """The content of a file of the list; an error if it is another one by now."""
        ...
