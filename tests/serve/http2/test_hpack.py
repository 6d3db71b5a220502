"""The examples of RFC 7541, appendix C, and blocks that no client means well with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.http2.errors import CompressionError, FloodError
from serve.http2.hpack import MOST_HEADERS, Header, HeaderDecoder, encode_headers
from serve.http2.huffman import LENGTHS, decode_huffman

FIRST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECOND = [*FIRST, (b"cache-control", b"no-cache")]
THIRD = [
    *((b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html")),
    *((b":authority", b"www.example.com"), (b"custom-key", b"custom-value")),
]
ANSWERS = [
    [
        *((b":status", b"302"), (b"cache-control", b"private"), (b"date", b"Mon, 21 Oct 2013 20:13:21 GMT")),
        (b"location", b"https://www.example.com"),
    ],
]


def decode(decoder: HeaderDecoder, text: str) -> list[Header]:
    return list(decoder.decode(bytes.fromhex(text)))


@pytest.mark.parametrize(
    "blocks",
    [
        (
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ),
        (
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ),
    ],
    ids=["C.3 plain", "C.4 Huffman"],
)
def test_requests_of_one_connection_share_a_table(blocks: tuple[str, ...]) -> None:
    decoder = HeaderDecoder()
    assert [decode(decoder, block) for block in blocks] == [FIRST, SECOND, THIRD]


def test_each_form_of_a_header_is_read() -> None:
    decoder = HeaderDecoder()
    assert decode(decoder, "400a637573746f6d2d6b65790d637573746f6d2d686561646572") == [
        (b"custom-key", b"custom-header")
    ]
    assert decode(decoder, "040c2f73616d706c652f70617468") == [(b":path", b"/sample/path")]
    assert decode(decoder, "100870617373776f726406736563726574") == [(b"password", b"secret")]
    assert decode(decoder, "82be") == [(b":method", b"GET"), (b"custom-key", b"custom-header")]


def test_a_huffman_text_is_read() -> None:
    text = bytes.fromhex("d07abe941054d444a8200595040b8166e082a62d1bff")
    assert decode_huffman(text) == b"Mon, 21 Oct 2013 20:13:21 GMT"
    assert decode_huffman(bytes.fromhex("9d29ad171863c78f0b97c8e9ae82ae43d3")) == b"https://www.example.com"
    assert decode_huffman(b"") == b""


def test_the_huffman_code_is_complete() -> None:
    assert len(LENGTHS) == 257
    assert sum(2.0**-length for length in LENGTHS) == 1.0


@pytest.mark.parametrize(
    "text", [b"\xff\xff\xff\xff", b"\x1f\xff\xff", b"\x18"], ids=["END", "long padding", "zeros"]
)
def test_a_huffman_text_that_ends_wrongly_is_refused(text: bytes) -> None:
    with pytest.raises(CompressionError):
        decode_huffman(text)


@pytest.mark.parametrize(
    "block",
    [
        "80",
        "be",
        "ffffffffff7f",
        "00",
        "0001",
        "000161",
        "4085",
        "3fe2ffff7f",
        "823f",
        "8220",
        "202020",
        "7fff",
    ],
)
def test_a_damaged_block_is_refused(block: str) -> None:
    with pytest.raises(CompressionError):
        decode(HeaderDecoder(), block)


@given(st.binary(max_size=60))
def test_any_block_is_decoded_or_refused(block: bytes) -> None:
    try:
        headers = HeaderDecoder().decode(block)
    except CompressionError:
        return
    assert all(isinstance(text, bytes) for header in headers for text in header)


def test_the_table_holds_so_many_bytes_and_no_more() -> None:
    decoder = HeaderDecoder()
    large = b"v" * 2000
    for name in (b"a", b"b", b"c"):
        decoder.decode(b"\x40\x01" + name + b"\x7f\xd1\x0e" + large)
    assert decoder.decode(b"\xbe\xbf") == ((b"c", large), (b"b", large))
    with pytest.raises(CompressionError):
        decoder.decode(b"\xc0")
    decoder.decode(b"\x20\x3f\xe1\x1f")  # the table becomes empty, and as large as before
    with pytest.raises(CompressionError):
        decoder.decode(b"\xbe")


def test_a_small_block_cannot_become_many_headers() -> None:
    assert len(HeaderDecoder().decode(b"\x82" * MOST_HEADERS)) == MOST_HEADERS
    with pytest.raises(FloodError):
        HeaderDecoder().decode(b"\x82" * (MOST_HEADERS + 1))


def test_an_equal_block_is_the_same_headers_until_the_table_changes() -> None:
    decoder = HeaderDecoder()
    decoder.decode(b"\x40\x01a\x011")
    block = b"\x82\xbe"
    first = decoder.decode(block)
    assert decoder.decode(block) is first
    decoder.decode(b"\x40\x01a\x012")
    assert decoder.decode(block) == ((b":method", b"GET"), (b"a", b"2"))


TEXTS = st.binary(max_size=300)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5))
def test_what_is_encoded_is_decoded(headers: list[Header]) -> None:
    assert list(HeaderDecoder().decode(encode_headers(*headers))) == headers
