"""The members of a torch archive, by torch's own reader, which is the one that loads them afterwards."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from adaptive_act.checkpoint.archive import read as read_archive
from adaptive_act.errors import CheckpointError
from convert.errors import SourceError

MOST = 100_000  # members
# What torch's reader, in C++, makes of content that was damaged or made up.
_DAMAGED = (RuntimeError, LookupError, ValueError, TypeError, MemoryError)
SLACK = 64 * 2**20  # bytes that unpacking may take beyond the file's size: code is packed, weights are not


class Records:
    """A sound table of contents: few enough members, each once, that unpack to little more than they take.

    Raises SourceError where it is not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader: Any = torch._C.PyTorchFileReader(str(path))
            self.names: tuple[str, ...] = tuple(self._reader.get_all_records())
            # The reader finds a member whether its name is asked for in upper or in lower case.
            if len(self.names) > MOST or len({name.lower() for name in self.names}) != len(self.names):
                raise SourceError(
                    f"`{path}` holds more than {MOST} members, or one twice; torch writes neither"
                )
            self._sizes = {name: int(self._reader.get_record_size(name)) for name in self.names}
        except _DAMAGED as error:
            raise self._damaged(error) from error
        if sum(self._sizes.values()) > path.stat().st_size + SLACK:
            raise SourceError(f"`{path}` would unpack to far more than it holds, which torch never writes")

    def read(self, name: str, limit: int) -> bytes:
        """A member's bytes. Raises SourceError where there is none of the name, or it is over the limit."""
        size = self._sizes.get(name)
        if size is None or size > limit:
            found = "is missing" if size is None else f"has {size} bytes, expected at most {limit}"
            raise SourceError(f"`{self._path}`: its member `{name}` {found}")
        try:
            content: bytes = self._reader.get_record(name)
        except _DAMAGED as error:
            raise self._damaged(error) from error
        return content

    def size(self, name: str) -> int:
        """A member's size in bytes, 0 where there is none of the name."""
        return self._sizes.get(name, 0)

    def _damaged(self, error: Exception) -> SourceError:
        reason = next(iter(str(error)[:200].splitlines()), type(error).__name__)
        return SourceError(f"`{self._path}` is truncated or damaged: {reason}", hint="copy or save it again")


def saved(path: Path) -> object:
    """What torch.save wrote to `path`: tensors and plain values, since nothing else is loaded.

    Raises CheckpointError, for a table of contents that is damaged too.
    """
    try:
        content: object = read_archive(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise CheckpointError(f"`{path}` is damaged: {error}") from error
    return content
