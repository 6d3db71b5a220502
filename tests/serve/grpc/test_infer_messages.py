"""Requests whose tensors are not raw bytes: they are parsed piece by piece, and within bounds."""

import asyncio
import threading
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.engine.errors import MalformedRequestError
from serve.grpc import infer
from serve.grpc.infer import InferMethod
from serve.grpc.infer_messages import HEAD_BYTES, ModelInferRequest, parse_infer, parse_parts, read_id
from serve.grpc.messages import SHORT_BYTES
from serve.grpc.wire import PIECE_BYTES, split_pieces, write_key
from serve.protocol.binary import MAX_STRINGS

COUNT = PIECE_BYTES // 2


def make_large() -> Any:
    """A request with a tensor of each kind of field in `contents`, most of them in several pieces."""
    message = ModelInferRequest(model_name="m", id="1")
    message.outputs.add(name="y")
    first = message.inputs.add(name="a", datatype="INT64", shape=[COUNT])
    first.contents.int64_contents.extend(
        (-1) ** place * place * 12345678901 % 2**62 for place in range(COUNT)
    )
    message.inputs.add(name="b", shape=[0])
    message.inputs.add(name="c").contents.fp32_contents.extend(range(COUNT))
    message.inputs.add(name="d").contents.bytes_contents.extend([b"", b"a" * 2 * PIECE_BYTES, b"b"] * 2)
    message.inputs.add(name="e").contents.bool_contents.extend([True, False] * PIECE_BYTES)
    message.inputs.add(name="f").parameters["x"].int64_param = 2
    return message


def wrap(number: int, data: bytes) -> bytes:
    return write_key(number, len(data)) + data


def test_pieces_make_the_whole_message() -> None:
    message = make_large()
    data = message.SerializeToString()
    given = parse_infer(data)
    assert (given.message, given.raw, given.size) == (message, [], len(data))


def test_what_takes_protobuf_long_is_cut_between_two_numbers() -> None:
    contents = make_large().inputs[0].contents
    pieces = list(split_pieces(contents.SerializeToString(), (), MAX_STRINGS))
    assert len(pieces) > 2
    assert max(map(len, pieces)) < PIECE_BYTES + 20
    read = [number for piece in pieces for number in type(contents).FromString(bytes(piece)).int64_contents]
    assert read == contents.int64_contents


# Fields of a request, of an input and of its contents, and bytes that are none.
PARTS = st.recursive(
    st.binary(max_size=6),
    lambda inner: st.lists(st.tuples(st.integers(1, 9), inner), max_size=3).map(
        lambda fields: b"".join(wrap(number, data) for number, data in fields)
    ),
    max_leaves=8,
)


@given(PARTS)
def test_any_bytes_are_refused_or_parsed_as_protobuf_would(data: bytes) -> None:
    data = wrap(5, wrap(5, wrap(1, b"\1" * SHORT_BYTES))) + data
    with suppress(MalformedRequestError):
        parsed = parse_infer(data)
        expected = ModelInferRequest.FromString(data)
        assert list(map(bytes, parsed.raw)) == expected.raw_input_contents[:]
        expected.ClearField("raw_input_contents")
        assert _reduce(parsed.message) == _reduce(expected)


def _reduce(message: Any) -> Any:
    """The message without what means nothing: unknown fields, and `contents` that hold nothing."""
    message.DiscardUnknownFields()
    for entry in message.inputs:
        if not entry.contents.ListFields():
            entry.ClearField("contents")
    return message


PARAMETER, BROKEN = b"\x22\x00", b"\xff" * 2 * PIECE_BYTES


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (wrap(5, PARAMETER * HEAD_BYTES), "more than `4096` fields"),
        (wrap(5, PARAMETER * 4000) * 40, "bytes beside its tensors"),
        (wrap(5, b"\x0a\x01a" + wrap(1, b"a" * HEAD_BYTES)), "bytes beside its tensors"),
        (wrap(3, b"i" * (HEAD_BYTES + 1)) + wrap(5, b""), "bytes beside its tensors"),
        (wrap(5, wrap(5, wrap(3, BROKEN))), "is no `InferTensorContents`"),
        (wrap(5, wrap(5, wrap(6, BROKEN + b"a"))), "is no `InferTensorContents`"),
        (wrap(5, wrap(5, BROKEN)), "number of more than ten bytes"),
    ],
    ids=["parameters", "inputs", "name", "id", "numbers", "floats", "contents"],
)
def test_a_large_message_is_refused_before_it_takes_time_or_memory(data: bytes, text: str) -> None:
    assert len(data) > SHORT_BYTES
    with pytest.raises(MalformedRequestError, match=text):
        parse_infer(data)


def test_texts_are_counted_before_they_are_parsed() -> None:
    with pytest.raises(MalformedRequestError, match="more than `3` fields"):
        list(split_pieces(b"\x42\x00" * 4, (8,), 3))


@pytest.mark.parametrize(("count", "is_long"), [(SHORT_BYTES, True), (8, False)])
def test_only_a_large_message_is_parsed_in_a_thread(
    count: int, is_long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def parse(*parts: Any) -> Any:
        threads.append(threading.current_thread())
        return parse_parts(*parts)

    monkeypatch.setattr(infer, "parse_parts", parse)
    message = ModelInferRequest(raw_input_contents=[bytes(SHORT_BYTES)])
    message.inputs.add().contents.bool_contents.extend([True] * count)
    given = asyncio.run(InferMethod(None, None).read(message.SerializeToString()))  # type: ignore[arg-type]
    assert len(given.message.inputs[0].contents.bool_contents) == count
    assert [thread is not threading.main_thread() for thread in threads] == [is_long]


def test_the_id_is_known_whatever_the_tensors_are() -> None:
    message = make_large()
    assert read_id(message.SerializeToString()) == "1"
    assert read_id(ModelInferRequest(id="2").SerializeToString()) == "2"
    assert read_id(wrap(3, b"3") + wrap(5, wrap(5, BROKEN))) == "3"
