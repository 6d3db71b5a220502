"""The bytes of messages without their classes: fields are skipped, split off and written.

Source: https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Container, Iterator

from serve.engine.errors import MalformedRequestError
from serve.grpc.framing import Buffer

MAX_FIELDS = 2**12
VARINT_BYTES = 10
PIECE_BYTES = 2**17
# The wire types: what follows a field's key.
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5


def check_fields(data: Buffer) -> None:
    """Raise `MalformedRequestError` for too many of the outermost fields, and for bytes that are none."""
    for _ in _read_fields(data):
        pass


def split_field(data: Buffer, number: int) -> tuple[bytes, list[memoryview]]:
    """The message without a field of bytes, and that field's values; raises as `check_fields`."""
    whole, key = memoryview(data), number << 3 | LENGTH
    others, values = [], []
    for found, start, content, end in _read_fields(whole):
        if found == key:
            values.append(whole[content:end])
        else:
            others.append(whole[start:end])
    return b"".join(others), values


def split_pieces(data: Buffer, whole: Container[int], most: int) -> Iterator[Buffer]:
    """Messages that make this one, of at most so many fields, when they are merged in turn.

    They are short but for the fields `whole`. Other long ones are taken for packed numbers of any size, and
    are cut between two. Raises as `check_fields`.
    """
    begin = end = 0
    for key, start, content, end in _read_fields(data, most):
        if end - content > PIECE_BYTES and key >> 3 not in whole:
            yield data[begin:start]
            for numbers in _cut(data[content:end]):
                yield b"".join((write_key(key >> 3, len(numbers)), numbers))
            begin = end
        elif end - begin > PIECE_BYTES:
            yield data[begin:end]
            begin = end
    yield data[begin:end]


def write_key(number: int, size: int) -> bytes:
    """What stands before a field of so many bytes."""
    return _write_varint(number << 3 | LENGTH) + _write_varint(size)


def _cut(numbers: Buffer) -> Iterator[Buffer]:
    place = 0
    while place < len(numbers):
        end = min(place + PIECE_BYTES, len(numbers))
        longest = min(end + VARINT_BYTES, len(numbers))
        while end < longest and numbers[end - 1] & 0x80:  # its last byte is a number's only one below 0x80
            end += 1
        yield numbers[place:end]
        place = end


def _read_fields(data: Buffer, most: int = MAX_FIELDS) -> Iterator[tuple[int, int, int, int]]:
    """The key of each of the outermost fields, where it begins, where its content does, and where it ends."""
    place = 0
    for _ in range(most):
        if place >= len(data):
            break
        start = place
        key, content = _read_varint(data, place)
        kind = key & 7
        if kind == VARINT:
            _, place = _read_varint(data, content)
        elif kind == LENGTH:
            size, content = _read_varint(data, content)
            place = content + size
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            place = content + (8 if kind == EIGHT_BYTES else 4)
        else:
            raise MalformedRequestError(f"the message has a field of the unknown wire type `{kind}`")
        if place > len(data):
            raise MalformedRequestError("the message breaks off within a field")
        yield key, start, content, place
    if place < len(data):
        raise MalformedRequestError(f"the message has more than `{most}` fields")


def _read_varint(data: Buffer, place: int) -> tuple[int, int]:
    """The number that begins at this place, and the place behind it."""
    value = shift = 0
    for byte in data[place : place + VARINT_BYTES]:
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise MalformedRequestError("the message breaks off, or has a number of more than ten bytes")


def _write_varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(0x80 | value & 0x7F)
        value >>= 7
    written.append(value)
    return bytes(written)
