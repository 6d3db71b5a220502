"""Header compression: what clients send is decoded, and what the server sends is not compressed."""

from collections import deque
from typing import TypeAlias

from serve.http2.errors import CompressionError, FloodError
from serve.http2.huffman import decode_huffman

Header: TypeAlias = tuple[bytes, bytes]
TABLE_BYTES = 4096
ENTRY_BYTES = 32  # what an entry counts beside its texts
# A header may take a single byte.
MOST_HEADERS = 512
# A number needs no more: all are below the length of a block.
MOST_NUMBER_BYTES = 4
# So often a block may change the table's size, RFC 7541, section 4.2.
MOST_RESIZES = 2
# The prefixes of a field's first byte.
INDEXED, INSERTED, TABLE_SIZE = 0x80, 0x40, 0x20

STATIC_TABLE: tuple[Header, ...] = (
    *((b":authority", b""), (b":method", b"GET"), (b":method", b"POST"), (b":path", b"/")),
    *((b":path", b"/index.html"), (b":scheme", b"http"), (b":scheme", b"https")),
    *((b":status", status) for status in (b"200", b"204", b"206", b"304", b"400", b"404", b"500")),
    *((b"accept-charset", b""), (b"accept-encoding", b"gzip, deflate")),
    *(
        (name, b"")
        for name in (
            b"accept-language accept-ranges accept access-control-allow-origin age allow authorization "
            b"cache-control content-disposition content-encoding content-language content-length "
            b"content-location content-range content-type cookie date etag expect expires from host if-match "
            b"if-modified-since if-none-match if-range if-unmodified-since last-modified link location "
            b"max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server "
            b"set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate"
        ).split()
    ),
)


class HeaderDecoder:
    """Decodes a connection's blocks of headers, in their order."""

    def __init__(self) -> None:
        self._table: deque[Header] = deque()
        self._table_bytes = 0
        self._table_limit = TABLE_BYTES
        # The last block that left the table as it was: clients repeat the same headers in each request.
        self._last_block = b""
        self._last_headers: tuple[Header, ...] = ()

    def decode(self, block: bytes) -> tuple[Header, ...]:
        """The block's headers; the same object as for the block before, if that was equal.

        Raises `CompressionError`, or `FloodError` for too many.
        """
        if block == self._last_block:
            return self._last_headers
        reader = _BlockReader(block)
        headers: list[Header] = []
        has_changed, resizes = False, 0
        while reader.place < len(block):
            if len(headers) == MOST_HEADERS:
                raise FloodError(f"a block has more than `{MOST_HEADERS}` headers")
            first = block[reader.place]
            if first & INDEXED:
                headers.append(self._find(reader.read_number(7)))
            elif first & INSERTED:
                header = self._read_header(reader, 6)
                self._insert(header)
                headers.append(header)
                has_changed = True
            elif first & TABLE_SIZE:
                resizes += 1
                self._resize(reader.read_number(5), bool(headers) or resizes > MOST_RESIZES)
                has_changed = True
            else:
                headers.append(self._read_header(reader, 4))
        decoded = tuple(headers)
        self._last_block, self._last_headers = (b"", ()) if has_changed else (block, decoded)
        return decoded

    def _find(self, index: int) -> Header:
        if 0 < index <= len(STATIC_TABLE):
            return STATIC_TABLE[index - 1]
        place = index - len(STATIC_TABLE) - 1
        if not 0 <= place < len(self._table):
            raise CompressionError(f"there is no header `{index}` in the table")
        return self._table[place]

    def _read_header(self, reader: "_BlockReader", bits: int) -> Header:
        index = reader.read_number(bits)
        name = self._find(index)[0] if index else reader.read_text()
        return name, reader.read_text()

    def _insert(self, header: Header) -> None:
        self._table.appendleft(header)
        self._table_bytes += _count_bytes(header)
        self._evict()

    def _resize(self, limit: int, is_late: bool) -> None:
        if limit > TABLE_BYTES or is_late:
            raise CompressionError(
                f"the table's size becomes `{limit}`, of `{TABLE_BYTES}`, too late or too often"
            )
        self._table_limit = limit
        self._evict()

    def _evict(self) -> None:
        while self._table_bytes > self._table_limit:
            self._table_bytes -= _count_bytes(self._table.pop())


class _BlockReader:
    """Reads numbers and texts of a block; raises `CompressionError` at its end."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self.place = 0

    def read_number(self, bits: int) -> int:
        """The number whose first `bits` are the last of the next byte."""
        most = (1 << bits) - 1
        number = self._read_byte() & most
        if number < most:
            return number
        for count in range(MOST_NUMBER_BYTES):
            byte = self._read_byte()
            number += (byte & 0x7F) << 7 * count
            if byte < 0x80:
                return number
        raise CompressionError("a number in the headers is too large")

    def read_text(self) -> bytes:
        """The next text."""
        is_coded = self.place < len(self._block) and self._block[self.place] & 0x80
        end = self.read_number(7) + self.place
        if end > len(self._block):
            raise CompressionError("a header ends before its length")
        text = self._block[self.place : end]
        self.place = end
        return decode_huffman(text) if is_coded else text

    def _read_byte(self) -> int:
        if self.place >= len(self._block):
            raise CompressionError("a block of headers breaks off")
        self.place += 1
        return self._block[self.place - 1]


def encode_headers(*headers: Header) -> bytes:
    """A block that any client can read, and that changes no table."""
    return b"".join(
        b"\x00" + _encode_length(len(name)) + name + _encode_length(len(value)) + value
        for name, value in headers
    )


def _encode_length(length: int) -> bytes:
    most = 0x7F
    if length < most:
        return bytes((length,))
    encoded, rest = bytearray((most,)), length - most
    while rest > most:
        encoded.append(0x80 | rest & most)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


def _count_bytes(header: Header) -> int:
    return ENTRY_BYTES + len(header[0]) + len(header[1])
