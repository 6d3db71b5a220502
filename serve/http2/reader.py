"""The frames in what a client sends, a bounded number at a time."""

from collections.abc import Iterator
from typing import TypeAlias

from serve.http2.errors import FrameSizeError, Http2Error
from serve.http2.frames import DEFAULT_FRAME, HEADER, HEADER_BYTES, HIGHEST_NUMBER, PREFACE

Frame: TypeAlias = tuple[int, int, int, bytes]
"""The kind, the flags, the stream's number, the payload."""


class FrameReader:
    """Holds what has come until it is read."""

    def __init__(self) -> None:
        """The connection's preface comes first."""
        self.has_begun = False
        """Whether the preface has come."""
        self._held = b""

    def feed(self, data: bytes) -> None:
        """More has come."""
        self._held = self._held + data if self._held else data

    def read(self, most: int) -> Iterator[Frame]:
        """The next frames that are complete, at most so many; raises `Http2Error`."""
        if not self.has_begun:
            self._read_preface()
        data, place = self._held, 0
        try:
            for _ in range(most if self.has_begun else 0):
                if len(data) - place < HEADER_BYTES:
                    return
                high, low, kind, flags, number = HEADER.unpack_from(data, place)
                length = high << 8 | low
                if length > DEFAULT_FRAME:
                    raise FrameSizeError(f"a frame of `{length}` bytes, of at most `{DEFAULT_FRAME}`")
                start, end = place + HEADER_BYTES, place + HEADER_BYTES + length
                if end > len(data):
                    return
                place = end
                yield kind, flags, number & HIGHEST_NUMBER, data[start:end]
        finally:
            self._held = data[place:]

    def has_frame(self) -> bool:
        """Whether a frame is complete."""
        if not self.has_begun or len(self._held) < HEADER_BYTES:
            return False
        high, low, *_ = HEADER.unpack_from(self._held)
        return len(self._held) - HEADER_BYTES >= int(high << 8 | low)

    def _read_preface(self) -> None:
        beginning = self._held[: len(PREFACE)]
        if not PREFACE.startswith(beginning):
            raise Http2Error("the client does not speak HTTP/2")
        if beginning == PREFACE:
            self.has_begun = True
            self._held = self._held[len(PREFACE) :]
