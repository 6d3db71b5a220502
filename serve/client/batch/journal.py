"""The answers so far, in a file beside the result: what was added survives a crash.

A journal is `MAGIC`, the job, then the answers of batches in the order they came, each of them as
`length, CRC-32, payload`. A record that a killed process or a lost machine left unfinished is at the end,
fails its check, and is cut off by the next run. A file that begins with anything else is left as it is.
"""

import contextlib
import fcntl
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from serve.client.errors import ClientError, InvalidFileError, ResultFileError
from serve.client.replies import JsonObject, parse
from serve.client.tensors import describe_tensors, join_message, read_tensors
from serve.engine.signature import Array

MAGIC = b"adaptact-predict 1\n"
HEAD = struct.Struct("<QI")
JSON_BYTES = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class PredictionJob:
    """What a run predicts; answers are combined only with those of an equal job.

    `asked_version` is the version's name in the request, such as an alias, which may mean another one by now.
    """

    model: str
    version: str
    fingerprint: str
    batch: int
    outputs: tuple[str, ...]
    asked_version: str | None = field(default=None, compare=False)


class Journal:
    """A job's answers by the first row of their batch; for one process at a time, by a lock on the file."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or begin one; raises `InvalidFileError` if that cannot be."""
        self.path = path
        self._file = _open_file(path)
        self._offsets: dict[int, int] = {}
        self.job = self._read()

    def begin(self, job: PredictionJob) -> None:
        """Make this an empty journal of the job."""
        self._file.truncate(0)
        self._offsets.clear()
        self._file.write(MAGIC)
        self._add(json.dumps(asdict(job)).encode())
        self.job = job

    def __contains__(self, start: int) -> bool:
        return start in self._offsets

    def add(self, start: int, answers: Mapping[str, Array]) -> None:
        """Add the answers of the batch that begins with this row; they are on the disk on return."""
        tensors = describe_tensors(answers, "binary")
        content, size = join_message({"start": start, "outputs": list(tensors.described)}, tensors)
        offset = self._file.seek(0, os.SEEK_END)
        self._add(JSON_BYTES.pack(size) + content)
        self._offsets[start] = offset

    def answers(self, start: int) -> dict[str, Array]:
        """The answers of the batch that begins with this row."""
        self._file.seek(self._offsets[start])
        payload = self._payload()
        assert payload is not None  # it was read or written when its offset was noted
        (size,) = JSON_BYTES.unpack_from(payload)
        body = memoryview(payload)[JSON_BYTES.size :]
        return read_tensors(
            JsonObject(parse(body[:size]), str(self.path)).objects("outputs"), body[size:], "output"
        )

    def remove(self) -> None:
        """Delete the file, whose answers are elsewhere by now."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> PredictionJob | None:
        """Note the offset of each batch's answers, and cut off an unfinished record."""
        self._file.seek(len(MAGIC))
        job, end = None, 0
        with contextlib.suppress(ClientError, TypeError, struct.error):
            for payload in iter(self._payload, None):
                if job is None:
                    job = _read_job(payload)
                else:
                    (size,) = JSON_BYTES.unpack_from(payload)
                    head = parse(payload[JSON_BYTES.size : JSON_BYTES.size + size])
                    self._offsets[JsonObject(head, "record").whole("start")] = end
                end = self._file.tell()
        self._file.truncate(end)
        return job if self._offsets else None  # without answers there is nothing to go on with

    def _payload(self) -> bytes | None:
        """The next record's payload; None where there is none, or not all of it."""
        head = self._file.read(HEAD.size)
        if len(head) < HEAD.size:
            return None
        length, check = HEAD.unpack(head)
        if length > os.fstat(self._file.fileno()).st_size:
            return None
        payload = self._file.read(length)
        return payload if len(payload) == length and zlib.crc32(payload) == check else None

    def _add(self, payload: bytes) -> None:
        try:
            self._file.write(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ResultFileError(f"`{self.path}` cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._offsets:
            self.remove()  # nothing to go on with
        # Closing tries once more to write what a full disk did not take; that error was raised already.
        with contextlib.suppress(OSError):
            self._file.close()


def _open_file(path: Path) -> IO[bytes]:
    """The file, open to be read and appended to: a new one, or a journal that no other process has open."""
    while True:
        try:
            file = path.open("a+b")
        except OSError as error:
            raise InvalidFileError(f"`{path}` cannot be written: {error.strerror}") from error
        try:
            _lock_file(file, path)
        except InvalidFileError:
            file.close()
            raise
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()  # the run that had it ended and removed it, after it was opened here


def _lock_file(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InvalidFileError(f"`{path}` is in use: the same run is going on") from error
    except OSError as error:
        raise InvalidFileError(
            f"`{path}` cannot be locked: {error.strerror}; write the result to another file system"
        ) from error
    file.seek(0)
    # A lost machine may have left a part of it.
    if not MAGIC.startswith(file.read(len(MAGIC))):
        raise InvalidFileError(
            f"`{path}` is the place for answers, but holds something else and is left as it is; move it away"
        )


def _read_job(payload: bytes) -> PredictionJob:
    job = JsonObject(parse(payload), "job")
    model, version, fingerprint = (job.text(name) for name in ("model", "version", "fingerprint"))
    asked_version = job.text("asked_version", "") or None
    return PredictionJob(model, version, fingerprint, job.whole("batch"), job.texts("outputs"), asked_version)
