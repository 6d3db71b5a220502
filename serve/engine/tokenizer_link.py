"""The link to the process that holds a tokenizer: started, asked, and started again if it ended."""

import hashlib
import json
import socket
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serve.engine.errors import (
    InvalidInputError,
    ModelRefusedError,
    ModelUnavailableError,
    RunFailedError,
    quote,
)
from serve.engine.loading import Cancellation

Text: TypeAlias = str | Sequence[str]
"""A text, or a pair of texts."""

PROGRAM = Path(__file__).with_name("tokenizer_process.py")
LENGTH = struct.Struct("<Q")
MAX_FILE_BYTES = 64 * 2**20
MAX_REPLY_BYTES = 64 * 2**20
# One of 250 000 pieces was measured to take less than 900 MiB while it is read.
MEMORY_BYTES = 4 * 2**30
# Within the bounds of a request's texts, none was measured to take a second.
ENCODE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """The tokens of all texts, one after the other."""

    lengths: list[int]
    """The number of tokens of each text."""
    truncated: tuple[int, ...]
    """The places of the texts that were cut."""
    tokens: NDArray[np.uint32]
    types: NDArray[np.uint32]


class TokenizerLink:
    """A tokenizer's file in a process of its own, which ends with this object, or with this process."""

    def __init__(self, path: Path, cancellation: Cancellation) -> None:
        """Let the process read the file; raises `ModelRefusedError` if that cannot be."""
        self._path = path
        self._lock = threading.Lock()
        self._digest = ""
        self._link: socket.socket | None = None
        self.end: Callable[[], object] = _do_nothing
        """End the process; the next texts start another one."""
        self.settings = self._start(cancellation)
        """What the file says of `padding` and `truncation`, by the library's names."""

    def encode(self, texts: Sequence[Text]) -> EncodedTexts:
        """The texts' tokens; blocks until they are there.

        Raises `InvalidInputError` for texts that the tokenizer does not take, `RunFailedError` if the process
        ended or took too long, and what reading the file again raises.
        """
        request = _write(texts)
        with self._lock:
            if self._link is None or self.process.poll() is not None:
                self.end()
                self._start(Cancellation())
            assert self._link is not None
            self._link.settimeout(ENCODE_SECONDS)
            try:
                _send(self._link, request)
                head = json.loads(_receive(self._link))
                if "error" in head:
                    raise InvalidInputError(f"the tokenizer does not take the texts: {quote(head['error'])}")
                numbers = np.frombuffer(_receive(self._link), np.uint32)
            except (OSError, EOFError) as error:
                self.end()
                self._link = None
                end = f"took more than {ENCODE_SECONDS:g} s" if isinstance(error, TimeoutError) else "ended"
                raise RunFailedError(f"the model's tokenizer {end} over these texts; send others") from error
        count = sum(head["lengths"])
        return EncodedTexts(head["lengths"], tuple(head["truncated"]), numbers[:count], numbers[count:])

    def _start(self, cancellation: Cancellation) -> dict[str, Any]:
        content = self._read_file()
        link, end = socket.socketpair()
        with end:
            self.process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(MEMORY_BYTES)],
                stdin=end.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        self.end = weakref.finalize(self, _end, link, self.process)
        cancellation.on_cancel(self.process.kill)
        try:
            _send(link, content)
            settings: dict[str, Any] = json.loads(_receive(link))
        except (OSError, EOFError) as error:
            self.end()
            raise ModelRefusedError(
                f"{quote(self._path.name)} cannot be read: it takes too much time or memory, or is faulty"
            ) from error
        if "error" in settings:
            self.end()
            raise ModelRefusedError(f"{quote(self._path.name)} cannot be read: {quote(settings['error'])}")
        self._link = link
        return settings

    def _read_file(self) -> bytes:
        """The file's content, the same as at the first time."""
        name = quote(self._path.name)
        try:
            with self._path.open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ModelRefusedError(f"{name} cannot be read: {error.strerror}") from error
        if len(content) > MAX_FILE_BYTES:
            raise ModelRefusedError(f"{name} is larger than {MAX_FILE_BYTES} bytes")
        digest = hashlib.sha256(content).hexdigest()
        if self._digest not in ("", digest):
            raise ModelUnavailableError(f"{name} has changed since the model was loaded; load it again")
        self._digest = digest
        return content


def _do_nothing() -> None:
    """There is no process yet."""


def _end(link: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    """End the process, whatever it does, and leave nothing of it."""
    link.close()
    process.kill()
    process.wait()


def _write(texts: Sequence[Text]) -> bytes:
    try:
        return json.dumps(texts, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError("a text holds half of a surrogate pair") from error


def _send(link: socket.socket, message: bytes) -> None:
    link.sendall(LENGTH.pack(len(message)) + message)


def _receive(link: socket.socket) -> bytes:
    (size,) = LENGTH.unpack(_read(link, LENGTH.size))
    if size > MAX_REPLY_BYTES:
        raise EOFError
    return _read(link, size)


def _read(link: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = link.recv(min(size - len(pieces), 2**20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)
