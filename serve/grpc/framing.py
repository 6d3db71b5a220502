"""The messages in what a call's client sends: each behind five bytes, its flag and its length."""

from struct import Struct
from typing import NamedTuple, TypeAlias

from serve.engine.errors import MalformedRequestError
from serve.grpc.errors import CallRefusedError
from serve.grpc.status import StatusCode

PREFIX = Struct(">BI")
Buffer: TypeAlias = bytes | memoryview


class ReceivedMessage(NamedTuple):
    """A message as it was sent."""

    data: Buffer
    is_compressed: bool


class MessageReader:
    """Joins the pieces of messages, each within a limit."""

    def __init__(self, limit_bytes: int) -> None:
        """Nothing has come."""
        self._limit = limit_bytes
        self._held = bytearray()
        self.missing = 0
        """Bytes that the message which has begun lacks; 0 between messages and within a prefix."""

    @property
    def is_between_messages(self) -> bool:
        """Whether no message has begun that is not complete."""
        return not self._held

    def feed(self, data: bytes) -> list[ReceivedMessage]:
        """The messages that this piece completes; raises `EngineError`."""
        if not self._held:
            return self._split(data)
        self._held += data
        if len(data) < self.missing:
            self.missing -= len(data)
            return []
        held, self._held = self._held, bytearray()
        return self._split(memoryview(held))

    def _split(self, whole: Buffer) -> list[ReceivedMessage]:
        messages, place, self.missing = [], 0, 0
        while len(whole) - place >= PREFIX.size:
            flag, size = PREFIX.unpack_from(whole, place)
            self._check(flag, size)
            start, end = place + PREFIX.size, place + PREFIX.size + size
            if end > len(whole):
                self.missing = end - len(whole)
                break
            messages.append(ReceivedMessage(whole[start:end], flag == 1))
            place = end
        self._held += whole[place:]
        return messages

    def _check(self, flag: int, size: int) -> None:
        if flag > 1:
            raise MalformedRequestError(f"a message has the flag `{flag}`; expected 0, or 1 if compressed")
        if size > self._limit:
            raise CallRefusedError(
                StatusCode.RESOURCE_EXHAUSTED,
                f"a message has `{size}` bytes; the limit is `{self._limit}`, `--body-limit-mib`",
            )


def pack_prefix(data: bytes) -> bytes:
    """The five bytes before the message."""
    return PREFIX.pack(0, len(data))
