from typing import Any

import numpy as np
import pytest

from serve.engine.datatypes import BY_NAME, DATATYPES
from serve.engine.errors import EngineError, MalformedRequestError, UnsupportedError
from serve.grpc.infer_messages import InferResponse, StreamResponse, parse_infer
from serve.grpc.messages import SHORT_BYTES, Message, message_class
from serve.grpc.tensors import CONTENTS, PIECE_VALUES, read_infer, write_infer
from serve.protocol.binary import to_binary
from serve.protocol.json_text import LONG_BYTES
from serve.protocol.messages import InferRequest, RequestedOutput
from serve.protocol.replies import Answerer

Request = message_class("inference.ModelInferRequest")


def request(shape: list[int], datatype: str, raw: bytes | None = None, /, **contents: Any) -> Message:
    made = Request(model_name="m")
    made.inputs.add(name="x", shape=shape, datatype=datatype, contents=contents or None)
    if raw is not None:
        made.raw_input_contents.append(raw)
    return made


def read(message: Message) -> InferRequest:
    return read_infer(parse_infer(message.SerializeToString()))


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_every_datatype_is_read_from_its_bytes(datatype: Any) -> None:
    given = np.array([["é", ""]], np.object_) if datatype.name == "BYTES" else np.ones((1, 2), datatype.dtype)
    array = read(request([1, 2], datatype.name, to_binary(given))).inputs["x"]
    assert array.dtype == datatype.dtype
    assert array.tolist() == given.tolist()


@pytest.mark.parametrize("name", CONTENTS)
def test_every_datatype_with_a_place_is_read_from_its_values(name: str) -> None:
    values: list[Any] = (
        [b"a", "é".encode()] if name == "BYTES" else [True, False] if name == "BOOL" else [1, 0]
    )
    array = read(request([2], name, **{CONTENTS[name]: values})).inputs["x"]
    assert array.dtype == BY_NAME[name].dtype
    assert array.tolist() == (["a", "é"] if name == "BYTES" else values)


def test_values_keep_their_bits() -> None:
    given = np.array([np.nan, -np.inf, 1e-45, -0.0, 3.4e38], np.float32)
    array = read(request([5], "FP32", fp32_contents=given.tolist())).inputs["x"]
    assert array.tobytes() == given.tobytes()
    assert read(request([1], "UINT64", uint64_contents=[2**64 - 1])).inputs["x"][0] == 2**64 - 1
    assert read(request([1], "INT64", int64_contents=[-(2**63)])).inputs["x"][0] == -(2**63)


def test_strings_in_contents_are_as_many_as_elsewhere_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.grpc.tensors.MAX_STRINGS", 2)
    assert read(request([2], "BYTES", bytes_contents=[b"", b""])).inputs["x"].size == 2
    with pytest.raises(MalformedRequestError, match="has `3`, at most `2` strings"):
        read(request([3], "BYTES", bytes_contents=[b"", b"", b""]))


def test_contents_that_hold_nothing_may_stand_beside_the_bytes() -> None:
    made = request([1], "INT8", b"\7")
    made.inputs[0].contents.SetInParent()
    assert read(made).inputs["x"].tolist() == [7]


def two_inputs(*raw: bytes) -> Message:
    made = request([1], "INT8")
    made.inputs.add(name="z", shape=[1], datatype="INT8")
    made.raw_input_contents.extend(raw)
    return made


def twice(made: Message, field: str) -> Message:
    getattr(made, field).extend(
        2 * list(getattr(made, field)) or 2 * [getattr(Request(), field).add(name="y")]
    )
    return made


def with_parameter(made: Message, **choice: Any) -> Message:
    (name, (place, value)), *_ = choice.items()
    setattr(made.parameters[name], place, value)
    return made


SHARED = request([1], "INT8")
SHARED.inputs[0].parameters["shared_memory_region"].string_param = "r"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (request([1], "INT8", int_contents=[300]), "a number that is no INT8"),
        (request([1], "UINT16", uint_contents=[2**16]), "a number that is no UINT16"),
        (request([2], "INT8", int_contents=[1]), "takes `2` values, got `1`"),
        (request([1], "INT8"), "takes `1` values, got `0`"),
        (request([1], "INT8", fp32_contents=[1]), "a INT8 is in `int_contents`, got `fp32_contents`"),
        (request([1], "INT8", int_contents=[1], bool_contents=[True]), "a INT8 is in `int_contents`"),
        (request([1], "FP16", fp32_contents=[1]), "FP16 has no place in `contents`"),
        (request([1], "BYTES", bytes_contents=[b"\xff"]), "not UTF-8"),
        (request([1], "INT8", b"\1", int_contents=[1]), "both `contents` and `raw_input_contents`"),
        (request([1], "INT8", b"\1\2"), "takes `1` bytes, got `2`"),
        (request([1], "BYTES", b"\xff\xff\xff\x7f"), "reaches beyond its tensor"),
        (request([-1], "INT8", b"\1"), "not a list of sizes"),
        (request([2**4, 2**60 + 2], "INT8", b"\1"), "bytes, got `1`"),
        (request([0, 2**62], "INT8", b""), "too large for an empty tensor"),
        (request([1] * 33, "INT8", b"\1"), "at most `32`"),
        (request([1], "FP8", b"\1"), "is not a `datatype`"),
        (two_inputs(b"\1"), "holds `1` tensors for `2` inputs"),
        (two_inputs(b"\1", b"\1", b"\1"), "holds `3` tensors for `2` inputs"),
        (twice(request([1], "INT8", int_contents=[1]), "inputs"), "`x` already exists"),
        (twice(request([1], "INT8", b"\1"), "outputs"), "`y` already exists"),
        (
            with_parameter(request([1], "INT8", b"\1"), timeout=("string_param", "soon")),
            "expected a whole number",
        ),
        (with_parameter(request([1], "INT8", b"\1"), timeout=("int64_param", -1)), "expected a whole number"),
        (with_parameter(request([1], "INT8", b"\1"), triton_x=("bool_param", True)), "reserved"),
        (with_parameter(request([1], "INT8", b"\1"), sequence_id=("int64_param", 1)), "sequence_id"),
        (SHARED, "`shared_memory_byte_size` is `None`, expected a whole number"),
    ],
)
def test_a_request_that_cannot_be_is_refused(message: Message, reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as raised:
        read(message)
    assert isinstance(raised.value, MalformedRequestError | UnsupportedError)


def test_parameters_are_read_and_one_without_a_value_is_none() -> None:
    message = with_parameter(request([1], "INT8", b"\1"), timeout=("uint64_param", 2_500_000))
    message.parameters["empty"].SetInParent()
    message.outputs.add(name="y").parameters["classification"].int64_param = 3
    asked = read(message)
    assert asked.timeout_seconds == 2.5
    assert asked.outputs == {"y": RequestedOutput(True, 3)}


def test_an_answer_holds_bytes_and_classes() -> None:
    asked = InferRequest({}, {"y": RequestedOutput(True, 2), "z": RequestedOutput(True)}, True, "7")
    outputs: dict[str, Any] = {"y": np.array([[0.5, 2, 1]], np.float32), "z": np.ones((1, 1), np.int8)}
    answer = write_infer(Answerer("m", "3", ["a", "b", "c"]), asked, outputs)
    reply = InferResponse.FromString(answer.write())
    assert StreamResponse.FromString(answer.write_streamed()).infer_response == reply
    assert (reply.model_name, reply.model_version, reply.id) == ("m", "3", "7")
    assert [(output.name, output.datatype, list(output.shape)) for output in reply.outputs] == [
        ("y", "BYTES", [1, 2]),
        ("z", "INT8", [1, 1]),
    ]
    assert reply.raw_output_contents[0] == to_binary(np.array(["2.0:1:b", "1.0:2:c"], np.object_))
    assert reply.raw_output_contents[1] == b"\1"


def test_large_raw_tensors_are_read_where_they_are() -> None:
    rows = np.arange(SHORT_BYTES, dtype=np.float32)
    message = request([SHORT_BYTES], "FP32", rows.tobytes())
    message.outputs.add(name="y")
    data = message.SerializeToString()
    given = parse_infer(data)
    assert np.shares_memory(np.frombuffer(given.raw[0], np.uint8), np.frombuffer(data, np.uint8))
    asked = read_infer(given)
    assert asked.inputs["x"].tolist() == rows.tolist()
    assert list(asked.outputs) == ["y"]


@pytest.mark.parametrize("place", ["int64_contents", "fp32_contents"])
def test_many_numbers_are_read_in_pieces(place: str) -> None:
    count = 3 * PIECE_VALUES + 1
    message = request([count], "INT64" if place == "int64_contents" else "FP32", **{place: range(count)})
    assert parse_infer(message.SerializeToString()).takes_long_to_read()
    assert np.array_equal(read(message).inputs["x"], np.arange(count))


def test_only_what_is_read_one_by_one_takes_long() -> None:
    texts = request([1], "BYTES", to_binary(np.array(["a" * LONG_BYTES], np.object_)))
    numbers = request([LONG_BYTES], "INT8", bytes(LONG_BYTES))
    few = request([2], "INT8", int_contents=[1, 2])
    long = [
        parse_infer(message.SerializeToString()).takes_long_to_read() for message in (texts, numbers, few)
    ]
    assert long == [True, False, False]
