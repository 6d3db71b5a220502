"""A source in memory, which can be told to misbehave."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from serve.sources.errors import SourceError
from serve.sources.mirror import synchronise
from serve.sources.options import SourceOptions
from serve.sources.source import Download, SourceFile
from serve.sources.status import SourceStatus


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class MemorySource:
    """Files by path, each with its digest."""

    files: dict[str, bytes] = field(default_factory=dict)
    has_digests: bool = True
    is_away: bool = False
    read: Callable[[str, bytes], Iterator[bytes]] = lambda _, content: iter([content])
    """What arrives of a file."""
    alter: Callable[[SourceFile], SourceFile] = lambda file: file
    """What the list says of a file."""
    opened: list[str] = field(default_factory=list)

    def list_files(self) -> Iterator[SourceFile]:
        if self.is_away:
            raise SourceError("it does not answer")
        for path, content in self.files.items():
            digest = sha256(content)
            yield self.alter(SourceFile(path, len(content), digest[:8], digest if self.has_digests else ""))

    def open(self, file: SourceFile) -> Download:
        self.opened.append(file.path)
        return Download(self.read(file.path, self.files[file.path]))


@dataclass
class Mirrored:
    """A source, and a copy of it."""

    source: MemorySource
    options: SourceOptions

    @property
    def folder(self) -> Path:
        return self.options.folder

    def synchronise(self, *, is_first: bool = False, **options: object) -> SourceStatus:
        changed = replace(self.options, **options)  # type: ignore[arg-type]  # fields of it
        return synchronise(lambda: self.source, changed, is_first=is_first)

    def list_files(self) -> dict[str, bytes]:
        """What a server finds in the copy."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and "/." not in path.relative_to(self.folder.parent).as_posix()
        }
