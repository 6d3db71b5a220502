"""Frames: their kinds and flags, and the bytes of those that the server sends."""

from enum import IntEnum
from struct import Struct

from serve.http2.errors import ErrorCode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# The length in two parts, the kind, the flags, and the stream's number.
HEADER = Struct(">HBBBI")
HEADER_BYTES = HEADER.size
NUMBER, SETTING = Struct(">I"), Struct(">HI")
HIGHEST_NUMBER = 2**31 - 1

END_STREAM, ACK = 0x1, 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
DEFAULT_WINDOW, DEFAULT_FRAME = 2**16 - 1, 2**14
LARGEST_FRAME = 2**24 - 1


class Kind(IntEnum):
    """The kinds of frames; others are ignored."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Setting(IntEnum):
    """The settings that this server sends or heeds."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


def pack_header(kind: int, flags: int, stream: int, length: int) -> bytes:
    """The header of a frame whose payload has this length."""
    return HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream)


def pack_frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame; stream 0 is the connection."""
    return pack_header(kind, flags, stream, len(payload)) + payload


def pack_reset(stream: int, code: ErrorCode) -> bytes:
    """A frame that ends a stream."""
    return pack_frame(Kind.RST_STREAM, 0, stream, NUMBER.pack(code))


def pack_window_update(stream: int, count: int) -> bytes:
    """A frame that allows so many bytes more."""
    return pack_frame(Kind.WINDOW_UPDATE, 0, stream, NUMBER.pack(count))


def pack_goaway(last_stream: int, code: ErrorCode, reason: str = "") -> bytes:
    """A frame that ends the connection after this stream."""
    return pack_frame(Kind.GOAWAY, 0, 0, NUMBER.pack(last_stream) + NUMBER.pack(code) + reason.encode())


def pack_settings(settings: dict[Setting, int]) -> bytes:
    """A frame with the server's settings."""
    return pack_frame(Kind.SETTINGS, 0, 0, b"".join(SETTING.pack(*setting) for setting in settings.items()))
