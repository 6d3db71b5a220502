"""Compression of bodies; decompression stops before it exceeds the memory limits."""

import zlib
from typing import Literal, TypeAlias

from serve.engine.errors import MalformedRequestError, quote

Coding: TypeAlias = Literal["gzip", "deflate"]

# zlib's numbers of the two formats: RFC 1952, and RFC 1950, which HTTP names deflate.
WINDOW_BITS: dict[Coding, int] = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ALIASES: dict[str, Coding] = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}

# Zeros shrink a thousandfold, so a ratio alone would refuse valid tensors: a body may always grow to
# FREE_BYTES, and beyond that to RATIO times its size.
FREE_BYTES = 8 * 2**20
RATIO = 100

LEVEL = 1  # on a local network the processor is slower than the wire
# A shorter reply fits in one packet anyway.
MIN_BYTES = 1024
# Floats hardly shrink: the first of them show whether compressing the rest is worth the time.
PROBE_BYTES = 16 * 2**10
MAX_PROBE_RATIO = 0.9


class TooLargeUncompressedError(MalformedRequestError):
    """A compressed body that would grow beyond the limit."""


def read_coding(text: str) -> Coding | None:
    """The coding of a `Content-Encoding`; None if it is not supported."""
    return ALIASES.get(text.strip().lower())


def choose_coding(text: str) -> Coding | None:
    """The supported coding with the highest weight in an `Accept-Encoding`; None without one."""
    best: Coding | None = None
    highest = 0.0
    for entry in text.lower().split(","):
        name, _, parameter = entry.partition(";")
        coding = ALIASES.get(name.strip())
        weight = _weight(parameter)
        if coding is not None and weight > highest:
            best, highest = coding, weight
    return best


def decompress(body: bytes | bytearray, coding: Coding, limit_bytes: int) -> bytes:
    """The decompressed body; raises `MalformedRequestError` before it grows beyond the limits."""
    allowed = min(limit_bytes, max(FREE_BYTES, RATIO * len(body)))
    reader = zlib.decompressobj(WINDOW_BITS[coding])
    try:
        # One byte more than allowed, so that the end of a body of exactly the allowed size is seen.
        whole = reader.decompress(body, allowed + 1)
    except zlib.error as error:
        raise MalformedRequestError(f"the body is not in the coding {quote(coding)}: {error}") from error
    if len(whole) > allowed:
        raise TooLargeUncompressedError(
            f"the body grows beyond `{allowed}` bytes when decompressed; the limit is `{limit_bytes}`, "
            f"and `{RATIO}` times what was sent beyond the first `{FREE_BYTES}`"
        )
    if not reader.eof:
        raise MalformedRequestError(f"the body ends before its {quote(coding)} stream does")
    if reader.unused_data:
        raise MalformedRequestError(
            f"`{len(reader.unused_data)}` bytes follow the body's {quote(coding)} stream; expected only one"
        )
    return whole


def compress(body: bytes, coding: Coding) -> bytes | None:
    """The compressed body; None if compressing it is not worth it."""
    if len(body) < MIN_BYTES:
        return None
    probe = body[:PROBE_BYTES]
    if len(zlib.compress(probe, LEVEL)) > MAX_PROBE_RATIO * len(probe):
        return None
    return zlib.compress(body, LEVEL, WINDOW_BITS[coding])


def _weight(parameter: str) -> float:
    """The `q` of a coding, by default 1; 0 for an invalid one."""
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
