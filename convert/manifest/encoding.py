"""Fields as protobuf encodes them. A module without imports: a server reads it at almost no cost.

Source: Protocol Buffers, Encoding, https://protobuf.dev/programming-guides/encoding/
"""

# The fields' numbers in onnx.proto: ModelProto's, GraphProto's, ValueInfoProto's.
_GRAPH, _OUTPUT, _NAME = 7, 12, 1


def encode_field(number: int, content: bytes) -> bytes:
    """A field of bytes: its number and wire type, its length, its content."""
    return _encode_varint(number << 3 | 2) + _encode_varint(len(content)) + content


def encode_outputs(names: list[str]) -> bytes:
    """What, behind a model's bytes, makes tensors of its graph outputs too; empty for none.

    Protobuf reads two messages in a row as one, and so the two graphs in them. The types are left out: ONNX
    Runtime infers them.
    """
    outputs = (encode_field(_OUTPUT, encode_field(_NAME, name.encode())) for name in names)
    return encode_field(_GRAPH, b"".join(outputs)) if names else b""


def _encode_varint(value: int) -> bytes:
    """The number in groups of 7 bits, lowest first; all but the last with the highest bit set."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
