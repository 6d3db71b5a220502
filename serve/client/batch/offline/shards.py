"""Shards: rows of a file that one worker answers, and whose answers are kept together or not at all."""

import hashlib
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from serve.client.batch.offline.batches import Batch
from serve.client.batch.rows import NO_FILE
from serve.client.errors import ChangedFileError, InvalidFileError

SHARD_BYTES = 32 * 2**20
SHARD_ROWS = 65_536
MOST_SHARDS = 2**20
"""So many are planned at most: a few bytes of a Parquet file may say that it has any number of rows."""
ANSWER_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class ShardSize:
    """How many rows the model is given at once, and the most that a shard should have: so many of these."""

    batch: int
    rows: int

    @classmethod
    def choose(cls, batch: int, answer_bytes: int) -> "ShardSize":
        """The size for a model whose answer to a row takes so many bytes."""
        most = max(1, min(SHARD_ROWS, ANSWER_BYTES // max(1, answer_bytes)) // batch)
        return cls(batch, most * batch)

    def limit(self, row_bytes: int) -> "ShardSize":
        """The size for rows of so many bytes in the file."""
        most = max(1, SHARD_BYTES // max(1, row_bytes) // self.batch)
        return ShardSize(self.batch, min(self.rows, most * self.batch))

    def cut(self, rows: int) -> Iterator[tuple[int, int]]:
        """The first row of each shard of so many rows, and the one after its last."""
        return ((start, min(start + self.rows, rows)) for start in range(0, rows, self.rows))


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of one file, or of one folder of images."""

    source: int
    """Which of the sources has them."""
    start: int
    """The place of the first row among those of all sources."""
    first: int
    """The place of the first row in its file."""
    rows: int
    place: tuple[int, ...] | tuple[str, ...] = ()
    """Where they lie, for what reads them: a part of a file in bytes, or files by name, size and time."""


class Source(Protocol):
    """One file, or one folder of images; it can be sent to other processes."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def stamp(self) -> tuple[int, int]:
        """Its size and its time when it was opened."""

    def fingerprint(self) -> str:
        """Another one for another content."""

    def cut(self, size: ShardSize) -> Iterator[tuple[int, tuple[int, ...] | tuple[str, ...]]]:
        """How many rows each shard has, and where they lie; raises `InvalidFileError`."""

    def read(self, shard: Shard, batch: int) -> Iterator[Batch]:
        """The shard's rows, so many at a time; raises `InvalidFileError`."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The shards of all sources in the order of their rows; the same for the same files and sizes."""

    sources: Sequence[Source]
    shards: Sequence[Shard]
    fingerprint: str

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(shard.rows for shard in self.shards)


def plan_shards(sources: Sequence[Source], size: ShardSize, fixed: int | None) -> ShardPlan:
    """The shards, at least one; raises `InvalidFileError`. `fixed` is the only number of rows at once."""
    digest, shards, start = hashlib.sha256(), list[Shard](), 0
    for number, source in enumerate(sources):
        digest.update(f"{source.path.name}\0{source.fingerprint()}\0".encode("utf-8", "surrogateescape"))
        first = 0
        for rows, place in source.cut(size):
            if len(shards) == MOST_SHARDS:
                raise InvalidFileError(
                    f"`{source.path}` says that it has more rows than {MOST_SHARDS} shards hold, at most "
                    f"{MOST_SHARDS * size.rows}; if that is so, predict parts of them"
                )
            shards.append(Shard(number, start + first, first, rows, place))
            digest.update(f"{rows} ".encode())
            first += rows
        if fixed is not None and first % fixed:
            raise InvalidFileError(
                f"the model takes `{fixed}` rows at once, and `{source.path}` has `{first}`, "
                "no multiple of it"
            )
        require_unchanged(source)
        start += first
    if not shards:
        raise InvalidFileError(f"`{sources[0].path}` has no row")
    return ShardPlan(sources, shards, digest.hexdigest())


def read_stamp(path: Path) -> tuple[int, int]:
    """The file's size, and its time; 0 for the size of a folder, which a copy of it need not have.

    Raises `InvalidFileError`, also for what can be read only once.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        return 0, status.st_mtime_ns
    if not stat.S_ISREG(status.st_mode):
        raise InvalidFileError(f"`{path}` {NO_FILE}")
    return status.st_size, status.st_mtime_ns


def digest_file(path: Path) -> str:
    """The digest of the file's content; raises `InvalidFileError`."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error


def require_unchanged(source: Source) -> None:
    """Raises `ChangedFileError` where the file is not, or no longer, the one that was opened."""
    require_stamp(source.path, source.stamp)


def require_stamp(path: Path, expected: tuple[int, int]) -> None:
    """Raises `ChangedFileError` unless the file has this size and time."""
    try:
        size, time = read_stamp(path)
    except InvalidFileError as error:
        raise ChangedFileError(str(error)) from error
    if (size, time) != expected:
        raise ChangedFileError(
            f"`{path}` is not what it was when the run began: {size} bytes, written at "
            f"{time / 1e9:.3f}, expected {expected[0]} and {expected[1] / 1e9:.3f}; leave it as "
            "it is while a run goes on, and begin anew with `--restart`"
        )
