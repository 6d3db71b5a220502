"""gRPC's status codes, and the headers that end a call with one."""

from collections.abc import Iterable
from enum import IntEnum
from urllib.parse import quote

from serve.http2.hpack import Header, encode_headers

MESSAGE_CHARACTERS = 2048
# Percent-encoded are all characters but those that can be printed, as gRPC over HTTP/2 asks for.
PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
CODINGS = b"identity,deflate,gzip"


class StatusCode(IntEnum):
    """How a call ended; all numbers are below HTTP's."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


def write_trailers(code: StatusCode, message: str, others: Iterable[Header] = ()) -> bytes:
    """The encoded headers behind an answer's messages."""
    text = quote(message[:MESSAGE_CHARACTERS], safe=PRINTABLE).encode()
    return encode_headers((b"grpc-status", b"%d" % code), (b"grpc-message", text), *others)


HEAD = encode_headers(
    (b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-accept-encoding", CODINGS)
)
"""The encoded headers before an answer's messages."""
OK_TRAILERS = encode_headers((b"grpc-status", b"0"))
NOT_GRPC = encode_headers((b":status", b"415"))
"""The whole answer to a request that is no call."""
