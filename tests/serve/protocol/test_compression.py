import gzip
import random
import zlib
from collections.abc import Callable

import pytest

from serve.engine.errors import MalformedRequestError
from serve.protocol.compression import (
    FREE_BYTES,
    MIN_BYTES,
    RATIO,
    Coding,
    TooLargeUncompressedError,
    choose_coding,
    compress,
    decompress,
    read_coding,
)

LIMIT = 64 * 2**20
# By coding, what Python's own modules, and so the clients, make and read.
THEIRS: dict[Coding, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (gzip.compress, gzip.decompress),
    "deflate": (zlib.compress, zlib.decompress),
}
CODINGS = pytest.mark.parametrize("coding", list(THEIRS))


@CODINGS
@pytest.mark.parametrize("body", [b"", b"a", bytes(100_000), random.Random(0).randbytes(100_000)])
def test_what_others_compress_is_read(coding: Coding, body: bytes) -> None:
    assert decompress(THEIRS[coding][0](body), coding, LIMIT) == body


@CODINGS
def test_what_is_compressed_others_read(coding: Coding) -> None:
    body = b'{"outputs": []}' * 1000
    compressed = compress(body, coding)
    assert compressed is not None
    assert len(compressed) < len(body) / 10
    assert THEIRS[coding][1](compressed) == body


@CODINGS
@pytest.mark.parametrize("body", [bytes(MIN_BYTES - 1), random.Random(0).randbytes(100_000)])
def test_what_does_not_get_shorter_is_left_as_it_is(coding: Coding, body: bytes) -> None:
    assert compress(body, coding) is None


@CODINGS
def test_the_limit_of_a_decompressed_body_is_exact(coding: Coding) -> None:
    for size, fits in ((1000, True), (1001, False)):
        body = THEIRS[coding][0](bytes(size))
        if fits:
            assert len(decompress(body, coding, 1000)) == size
        else:
            with pytest.raises(TooLargeUncompressedError, match="grows beyond `1000` bytes"):
                decompress(body, coding, 1000)


def test_a_decompression_bomb_below_the_limit_is_refused() -> None:
    bomb = zlib.compress(bytes(FREE_BYTES * 4))
    assert len(bomb) * RATIO < FREE_BYTES * 4
    with pytest.raises(TooLargeUncompressedError, match=f"grows beyond `{FREE_BYTES}` bytes"):
        decompress(bomb, "deflate", LIMIT)


@CODINGS
@pytest.mark.parametrize("broken", ["cut", "rubbish", "follows", "empty", "changed"])
def test_a_body_that_is_not_one_whole_stream_is_refused(coding: Coding, broken: str) -> None:
    whole = THEIRS[coding][0](b"a" * 1000)
    body = {
        "cut": whole[:-1],
        "rubbish": b"rubbish" * 10,
        "follows": whole + whole,
        "empty": b"",
        "changed": whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:],
    }[broken]
    with pytest.raises(MalformedRequestError, match=r"^(the body|.* bytes follow)"):
        decompress(body, coding, LIMIT)


@pytest.mark.parametrize(
    ("text", "coding"),
    [
        ("gzip", "gzip"),
        (" GZip ", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("br", None),
        ("", None),
    ],
)
def test_a_coding_is_known_by_its_names(text: str, coding: Coding | None) -> None:
    assert read_coding(text) == coding


@pytest.mark.parametrize(
    ("text", "coding"),
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("br, deflate", "deflate"),
        ("gzip;q=0.2, deflate;q=0.8", "deflate"),
        ("gzip;q=0", None),
        ("gzip; q=nan", None),
        ("gzip; q=2", None),
        ("gzip; q=x", None),
        ("identity", None),
        ("br", None),
        ("*", None),
        ("", None),
    ],
)
def test_the_coding_that_a_client_likes_best_is_chosen(text: str, coding: Coding | None) -> None:
    assert choose_coding(text) == coding
