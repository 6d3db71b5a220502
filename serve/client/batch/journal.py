"""The answers so far, beside the file that they will become: what was added is there after any end.

A journal is the job, then the answers of batches in the order they came, each as
`length, CRC-32, payload`. A record that a killed process or a lost machine left unfinished is at the end,
fails its check, and is cut off by the next run.
"""

import contextlib
import fcntl
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from serve.client.errors import ClientError, InvalidFileError
from serve.client.fields import Fields, parse
from serve.client.tensors import described, message, read
from serve.engine.signature import Array

HEAD = struct.Struct("<QI")
JSON_BYTES = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked; answers are only put together with those to the same."""

    model: str
    version: str
    fingerprint: str
    batch: int
    outputs: tuple[str, ...]


class Journal:
    """A job's answers by the first row of their batch; for one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open the journal, or begin one; raises `InvalidFileError` if it is in use or cannot be."""
        self.path = path
        try:
            self._file: IO[bytes] = path.open("a+b")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise InvalidFileError(f"`{path}` is in use: the same run is going on") from error
        except OSError as error:
            raise InvalidFileError(f"`{path}` cannot be written: {error.strerror}") from error
        self._places: dict[int, int] = {}
        self.job = self._read()

    def begin(self, job: Job) -> None:
        """Make this an empty journal of the job."""
        self._file.truncate(0)
        self._places.clear()
        self._add(json.dumps(asdict(job)).encode())
        self.job = job

    def __contains__(self, start: int) -> bool:
        return start in self._places

    def add(self, start: int, answers: Mapping[str, Array]) -> None:
        """Keep the answers of the batch that begins with this row: they are on the disk on return."""
        tensors = described(answers, "binary")
        content, size = message({"start": start, "outputs": list(tensors.described)}, tensors)
        place = self._file.seek(0, os.SEEK_END)
        self._add(JSON_BYTES.pack(size) + content)
        self._places[start] = place

    def answers(self, start: int) -> dict[str, Array]:
        """The answers of the batch that begins with this row."""
        self._file.seek(self._places[start])
        payload = self._payload()
        assert payload is not None  # it was read, or written, when its place was noted
        (size,) = JSON_BYTES.unpack_from(payload)
        body = memoryview(payload)[JSON_BYTES.size :]
        return read(Fields(parse(body[:size]), str(self.path)).objects("outputs"), body[size:], "output")

    def remove(self) -> None:
        """Delete the file, whose answers are elsewhere by now."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> Job | None:
        """Note where each batch's answers are, and cut off what is unfinished."""
        self._file.seek(0)
        job, end = None, 0
        with contextlib.suppress(ClientError, TypeError, struct.error):
            for payload in iter(self._payload, None):
                if job is None:
                    job = _job(payload)
                else:
                    (size,) = JSON_BYTES.unpack_from(payload)
                    head = parse(payload[JSON_BYTES.size : JSON_BYTES.size + size])
                    self._places[Fields(head, "record").whole("start")] = end
                end = self._file.tell()
        self._file.truncate(end)
        return job

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
            raise InvalidFileError(f"`{self.path}` cannot be written: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._places:
            self.remove()  # nothing to go on with
        self._file.close()


def _job(payload: bytes) -> Job:
    said = Fields(parse(payload), "job")
    model, version, fingerprint = (said.text(name) for name in ("model", "version", "fingerprint"))
    return Job(model, version, fingerprint, said.whole("batch"), said.texts("outputs"))
