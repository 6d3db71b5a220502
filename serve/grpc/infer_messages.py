"""Inference messages as bytes; large tensors are not copied into protobuf's messages and out of them."""

from collections.abc import Sequence
from typing import NamedTuple

from serve.grpc.framing import Buffer
from serve.grpc.messages import SHORT_BYTES, Message, message_class, parse_message
from serve.grpc.wire import split_field, write_key
from serve.protocol.json_text import LONG_BYTES

ModelInferRequest = message_class("inference.ModelInferRequest")
InferResponse = message_class("inference.ModelInferResponse")
StreamResponse = message_class("inference.ModelStreamInferResponse")
RAW_INPUTS: int = ModelInferRequest.DESCRIPTOR.fields_by_name["raw_input_contents"].number
RAW_OUTPUTS: int = InferResponse.DESCRIPTOR.fields_by_name["raw_output_contents"].number
INFER_RESPONSE: int = StreamResponse.DESCRIPTOR.fields_by_name["infer_response"].number

# A number may take a single byte.
MANY_NUMBERS_BYTES = 2**15


class InferMessage(NamedTuple):
    """A `ModelInferRequest` and its raw tensors, which the message may lack."""

    message: Message
    raw: Sequence[Buffer]

    def takes_long_to_read(self) -> bool:
        """Whether that is to be done in a thread: numbers in `contents`, and texts, are read one by one."""
        if self.raw:
            size = sum(map(len, self.raw))
            return size > LONG_BYTES and any(entry.datatype == "BYTES" for entry in self.message.inputs)
        return int(self.message.ByteSize()) > MANY_NUMBERS_BYTES


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
        return InferMessage(message, message.raw_input_contents[:])
    others, raw = split_field(data, RAW_INPUTS)
    return InferMessage(parse_message(ModelInferRequest, others), raw)
