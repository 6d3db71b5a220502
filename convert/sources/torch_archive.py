"""The members of a torch archive, by the same reader of torch that loads them afterwards."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from adaptact.text import first_line
from adaptive_act.checkpoint.archive import read_archive
from adaptive_act.errors import CheckpointError
from convert.errors import SourceError

MOST_MEMBERS = 100_000
# What torch's reader, in C++, raises on damaged or forged content.
_DAMAGED = (RuntimeError, LookupError, ValueError, TypeError, MemoryError, zipfile.BadZipFile, OSError)
UNPACKING_SLACK = 64 * 2**20  # bytes that unpacking may add to the file's size: only code is compressed


class ArchiveReader:
    """Reads an archive with at most MOST_MEMBERS distinct members, which unpack to little more than its size.

    Raises SourceError where it is not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader: Any = torch._C.PyTorchFileReader(str(path))
            self.names: tuple[str, ...] = tuple(self._reader.get_all_records())
            # The reader finds a member whether its name is asked for in upper or in lower case.
            if len(self.names) > MOST_MEMBERS or len({name.lower() for name in self.names}) != len(
                self.names
            ):
                raise SourceError(
                    f"`{path}` holds more than {MOST_MEMBERS} members, or one twice; torch writes neither"
                )
            self._sizes = self._measure()
        except _DAMAGED as error:
            raise self._damaged(error) from error
        if sum(self._sizes.values()) > path.stat().st_size + UNPACKING_SLACK:
            raise SourceError(f"`{path}` would unpack to far more than it holds, which torch never writes")

    def read(self, name: str, limit: int) -> bytes:
        """A member's bytes. Raises SourceError where there is no such member, or it is over the limit."""
        size = self._sizes.get(name)
        if size is None or size > limit:
            reason = "is missing" if size is None else f"has {size} bytes, expected at most {limit}"
            raise SourceError(f"`{self._path}`: its member `{name}` {reason}")
        try:
            content: bytes = self._reader.get_record(name)
        except _DAMAGED as error:
            raise self._damaged(error) from error
        if len(content) != size:
            raise SourceError(f"`{self._path}`: its member `{name}` has another size than its directory says")
        return content

    def _measure(self) -> dict[str, int]:
        """The size of each member; before 2.13 not torch's reader tells it, but the archive's directory."""
        measure = getattr(self._reader, "get_record_size", None)
        if measure is not None:
            return {name: int(measure(name)) for name in self.names}
        with zipfile.ZipFile(self._path) as archive:
            sizes = {entry.filename.partition("/")[2]: entry.file_size for entry in archive.infolist()}
        return {name: sizes[name] for name in self.names}

    def size(self, name: str) -> int:
        """A member's size in bytes, 0 where there is no such member."""
        return self._sizes.get(name, 0)

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(
            f"`{self._path}` is truncated or damaged: {first_line(error, 200)}", hint="copy or save it again"
        )


def load_tensors(path: Path) -> object:
    """The content of a file of torch.save: tensors and plain values alone.

    Raises CheckpointError, also for a damaged table of contents.
    """
    try:
        content: object = read_archive(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CheckpointError(f"`{path}` is damaged: {error}") from error
    return content
