"""Entries in an ONNX file's metadata: put there without touching the graph's bytes.

Protobuf reads a model's fields in any order, so that old entries are cut out and the new ones put at the end.
"""

from collections.abc import Collection, Mapping

from convert.errors import SourceError
from convert.manifest.entries import SIGNATURE_KEY
from convert.manifest.signature import METADATA_PROPS, encode_metadata
from convert.manifest.wire import Field, read_text, walk_fields

_KEY = 1  # of StringStringEntryProto


def replace_entries(content: bytes, entries: Mapping[str, str]) -> bytes:
    """The file's bytes with these entries in place of any others of their keys, unsigned.

    Raises SourceError where the bytes are no fields of protobuf.
    """
    view, dropped = memoryview(content), {*entries, SIGNATURE_KEY}
    try:
        kept = [
            view[field.start : field.end] for field in walk_fields(view) if not _is_entry_of(field, dropped)
        ]
    except ValueError as error:
        raise SourceError(f"the file is not an ONNX model: {error}") from error
    return b"".join((*kept, *(encode_metadata(key, text) for key, text in entries.items())))


def _is_entry_of(field: Field, keys: Collection[str]) -> bool:
    if field.number != METADATA_PROPS or not isinstance(field.value, memoryview):
        return False
    return read_text(field.value, _KEY) in keys
