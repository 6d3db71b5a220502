"""The description in an ONNX file's metadata: put there without touching the graph's bytes.

Protobuf reads a model's fields in any order, so that the old entry is cut out and the new one put at the end.
"""

from convert.errors import SourceError
from convert.manifest.description import Description
from convert.manifest.entries import DESCRIPTION_KEY, SIGNATURE_KEY
from convert.manifest.signature import METADATA_PROPS, encode_metadata
from convert.manifest.wire import Field, read_text, walk_fields

_KEY = 1  # of StringStringEntryProto


def replace_description(content: bytes, description: Description) -> bytes:
    """The file's bytes with this description in place of any other, unsigned.

    Raises SourceError where the bytes are no fields of protobuf.
    """
    view = memoryview(content)
    try:
        kept = [view[field.start : field.end] for field in walk_fields(view) if not _is_replaced(field)]
    except ValueError as error:
        raise SourceError(f"the file is not an ONNX model: {error}") from error
    return b"".join((*kept, encode_metadata(DESCRIPTION_KEY, description.to_json())))


def _is_replaced(field: Field) -> bool:
    if field.number != METADATA_PROPS or not isinstance(field.value, memoryview):
        return False
    return read_text(field.value, _KEY) in (DESCRIPTION_KEY, SIGNATURE_KEY)
