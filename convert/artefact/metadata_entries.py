"""Entries in an ONNX file's metadata: put there without touching the graph's bytes.

Protobuf reads a model's fields in any order, so that old entries are cut out and the new ones put at the end.
"""

from collections.abc import Iterator, Mapping

from convert.errors import SourceError
from convert.manifest.entries import SIGNATURE_KEY
from convert.manifest.signature import METADATA_PROPS, encode_metadata

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types of protobuf
_SIZES = {_FIXED64: 8, _FIXED32: 4}


def replace_entries(content: bytes, entries: Mapping[str, str]) -> bytes:
    """The file's bytes with these entries in place of any others of their keys, unsigned.

    Raises SourceError where the bytes are no fields of protobuf.
    """
    dropped = tuple(map(_make_prefix, (*entries, SIGNATURE_KEY)))
    view = memoryview(content)
    kept = [
        view[start:end]
        for number, start, body, end in _walk_fields(content)
        if number != METADATA_PROPS or not bytes(view[body : body + 64]).startswith(dropped)
    ]
    return b"".join((*kept, *(encode_metadata(key, text) for key, text in entries.items())))


def _make_prefix(key: str) -> bytes:
    """How an entry of this key begins: its first field, with its length, and the key."""
    return bytes([1 << 3 | _BYTES, len(key)]) + key.encode()


def _walk_fields(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The number of each field, where it starts, where its content does, and where it ends."""
    start = 0
    while start < len(content):
        tag, body = _read_varint(content, start)
        kind = tag & 7
        if kind == _VARINT:
            end = _read_varint(content, body)[1]
        elif kind == _BYTES:
            length, body = _read_varint(content, body)
            end = body + length
        else:
            end = body + _SIZES.get(kind, len(content) + 1)
        if end > len(content):
            raise SourceError("the file is no ONNX model: a field goes beyond its end")
        yield tag >> 3, start, body, end
        start = end


def _read_varint(content: bytes, start: int) -> tuple[int, int]:
    """The number, and where the next thing begins."""
    value = 0
    for place in range(start, min(start + 10, len(content))):
        value |= (content[place] & 0x7F) << 7 * (place - start)
        if content[place] < 0x80:
            return value, place + 1
    raise SourceError("the file is no ONNX model: it ends in the middle of a number")
