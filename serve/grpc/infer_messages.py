"""Inference messages as bytes; large tensors are not copied into protobuf's messages and out of them."""

from collections.abc import Sequence
from typing import NamedTuple

from serve.engine.errors import MalformedRequestError
from serve.grpc.framing import Buffer
from serve.grpc.messages import SHORT_BYTES, Message, merge, message_class, parse_message
from serve.grpc.wire import split_field, split_pieces, write_key
from serve.protocol.binary import MAX_STRINGS
from serve.protocol.json_text import LONG_BYTES

ModelInferRequest = message_class("inference.ModelInferRequest")
InferResponse = message_class("inference.ModelInferResponse")
StreamResponse = message_class("inference.ModelStreamInferResponse")
Tensor = message_class("inference.ModelInferRequest.InferInputTensor")
Contents = message_class("inference.InferTensorContents")
RAW_INPUTS: int = ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number
INPUTS: int = ModelInferRequest.DESCRIPTOR.fields_by_name["inputs"].number
CONTENTS: int = Tensor.DESCRIPTOR.fields_by_name["contents"].number
# What protobuf only copies.
COPIED: list[int] = [
    Contents.DESCRIPTOR.fields_by_name[name].number
    for name in ("fp32_contents", "fp64_contents", "bytes_contents")
]
RAW_OUTPUTS: int = InferResponse.DESCRIPTOR.fields_by_name["raw_output_contents"].number
INFER_RESPONSE: int = StreamResponse.DESCRIPTOR.fields_by_name["infer_response"].number

# A number may take a single byte.
MANY_NUMBERS_BYTES = 2**15
# Of a request, beside its tensors: an empty parameter takes two bytes, and fifty times as much once parsed.
HEAD_BYTES = 2**18


class InferMessage(NamedTuple):
    """A `ModelInferRequest` and its raw tensors, which the message may lack."""

    message: Message
    raw: Sequence[Buffer]
    size: int
    """Of the message, in bytes."""

    def takes_long_to_read(self) -> bool:
        """Whether that is to be done in a thread: numbers in `contents`, and texts, are read one by one."""
        if self.raw:
            size = sum(map(len, self.raw))
            return size > LONG_BYTES and any(entry.datatype == "BYTES" for entry in self.message.inputs)
        return self.size > MANY_NUMBERS_BYTES


class InferAnswer(NamedTuple):
    """A `ModelInferResponse` and its raw tensors, which the message lacks."""

    message: Message
    raw: Sequence[Buffer]

    def write(self) -> bytes:
        """The message."""
        return b"".join(self._list_parts())

    def write_streamed(self) -> bytes:
        """The `ModelStreamInferResponse` with this message."""
        parts = self._list_parts()
        return b"".join((write_key(INFER_RESPONSE, sum(map(len, parts))), *parts))

    def _list_parts(self) -> list[Buffer]:
        parts: list[Buffer] = [self.message.SerializeToString()]
        for tensor in self.raw:
            parts += write_key(RAW_OUTPUTS, len(tensor)), tensor
        return parts


def parse_infer(data: Buffer) -> InferMessage:
    """The `ModelInferRequest` in these bytes; raises `MalformedRequestError` for others."""
    if len(data) <= SHORT_BYTES:
        message = parse_message(ModelInferRequest, data)
        # A slice: it copies at once, while iteration calls protobuf for each element.
        return InferMessage(message, message.raw_input_contents[:], len(data))
    return parse_parts(*split_raw(data))


def split_raw(data: Buffer) -> tuple[bytes, list[memoryview]]:
    """The message without its raw tensors, and those; raises `MalformedRequestError`."""
    return split_field(data, RAW_INPUTS)


def parse_parts(others: bytes, raw: Sequence[Buffer]) -> InferMessage:
    """What `split_raw` gave, parsed; to be done in a thread if `others` are long. Raises as `parse_infer`."""
    is_short = len(others) <= SHORT_BYTES
    message = parse_message(ModelInferRequest, others) if is_short else _parse_in_pieces(others)
    return InferMessage(message, raw, len(others))


def read_id(data: Buffer) -> str:
    """The id of the request in these bytes, whatever its tensors are; raises `MalformedRequestError`."""
    if len(data) > SHORT_BYTES:
        data, _ = split_field(split_raw(data)[0], INPUTS)
        _take(HEAD_BYTES, data)
    return str(parse_message(ModelInferRequest, data).id)


def _parse_in_pieces(data: bytes) -> Message:
    """The message, with its tensors parsed piece by piece: protobuf holds up all threads while it parses."""
    rest, entries = split_field(data, INPUTS)
    left = _take(HEAD_BYTES, rest)
    message = parse_message(ModelInferRequest, rest)
    for entry in entries:
        head, tensors = split_field(entry, CONTENTS)
        left = _take(left, head)
        added = message.inputs.add()
        merge(added, head)
        for tensor in tensors:
            for piece in split_pieces(tensor, COPIED, MAX_STRINGS):
                merge(added.contents, piece)
    return message


def _take(left: int, head: Buffer) -> int:
    """What is left of so many bytes; raises `MalformedRequestError` if that is less than nothing."""
    if len(head) > left:
        raise MalformedRequestError(f"the request has more than `{HEAD_BYTES}` bytes beside its tensors")
    return left - len(head)
