from typing import Any

import numpy as np
import orjson
import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import EngineError, MalformedRequestError
from serve.engine.signature import Signature, TensorSpec
from serve.protocol.json_parsers import SHORT_BYTES
from serve.protocol.messages import MAX_TENSORS, RequestedOutput, read_raw_request, read_request
from serve.protocol.placements import Placement

FLOATS = np.array([[1.5, -2]], np.float32)
JSON_INPUT = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, -2]}
BINARY_INPUT = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
# What is short is read as Python's own values at once.
PADDINGS = pytest.mark.parametrize("padding", [b"", b" " * SHORT_BYTES], ids=["short", "long"])


def _message(**changed: object) -> dict[str, object]:
    return {"inputs": [JSON_INPUT]} | changed


@PADDINGS
def test_a_json_request_is_read(padding: bytes) -> None:
    request = read_request(orjson.dumps(_message(id="7")) + padding)
    assert request.id == "7"
    assert request.inputs["x"].tolist() == FLOATS.tolist()
    assert not request.wants_binary("y")


@PADDINGS
def test_binary_and_json_inputs_mix_in_the_order_of_the_inputs(padding: bytes) -> None:
    entries = [
        BINARY_INPUT | {"name": "first"},
        JSON_INPUT,
        BINARY_INPUT | {"name": "last", "shape": [2], "parameters": {"binary_data_size": 8}},
    ]
    text = orjson.dumps({"inputs": entries}) + padding
    body = text + FLOATS.tobytes() + (FLOATS * 2).tobytes()
    inputs = read_request(body, len(text)).inputs
    assert list(inputs) == ["first", "x", "last"]
    assert inputs["first"].tolist() == FLOATS.tolist()
    assert inputs["last"].tolist() == [3, -4]


def test_an_empty_binary_tensor_takes_no_bytes() -> None:
    entry = BINARY_INPUT | {"shape": [0, 2], "parameters": {"binary_data_size": 0}}
    text = orjson.dumps({"inputs": [entry]})
    assert read_request(text, len(text)).inputs["x"].shape == (0, 2)


@pytest.mark.parametrize(
    ("message", "binary"),
    [
        (_message(), {"y": False, "z": False}),
        (_message(parameters={"binary_data_output": True}), {"y": True, "z": True}),
        (
            _message(outputs=[{"name": "y", "parameters": {"binary_data": True}}, {"name": "z"}]),
            {"y": True, "z": False},
        ),
        (
            _message(
                parameters={"binary_data_output": True},
                outputs=[{"name": "y", "parameters": {"binary_data": False}}, {"name": "z"}],
            ),
            {"y": False, "z": True},
        ),
    ],
)
def test_an_outputs_binary_flag_overrides_the_requests(
    message: dict[str, object], binary: dict[str, bool]
) -> None:
    request = read_request(orjson.dumps(message))
    assert {name: request.wants_binary(name) for name in binary} == binary


@PADDINGS
@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([], "the body is not a JSON object"),
        ({}, "`inputs` is missing or is not a list"),
        ({"inputs": {}}, "`inputs` is missing or is not a list"),
        ({"inputs": [1]}, "`inputs[0]` has no `name`"),
        ({"inputs": [JSON_INPUT, {"name": 1}]}, "`inputs[1]` has no `name`"),
        ({"inputs": [JSON_INPUT, JSON_INPUT]}, "input `x` already exists in the request"),
        ({"inputs": [JSON_INPUT | {"shape": None}]}, "input `x`: `shape` is not a list of sizes, got `None`"),
        ({"inputs": [JSON_INPUT | {"shape": [-1, 2]}]}, "`shape` is not a list of sizes, got `[-1, 2]`"),
        ({"inputs": [JSON_INPUT | {"shape": [1.0, 2]}]}, "`shape` is not a list of sizes, got `[1.0, 2]`"),
        ({"inputs": [JSON_INPUT | {"shape": [True, 2]}]}, "`shape` is not a list of sizes"),
        ({"inputs": [JSON_INPUT | {"shape": [1] * 33}]}, "`shape` has `33` dimensions, at most `32`"),
        ({"inputs": [JSON_INPUT | {"shape": [2**40, 2**60]}]}, "values, got `2`"),
        ({"inputs": [JSON_INPUT | {"shape": [0, 2**60], "data": []}]}, "is too large for an empty tensor"),
        (
            {"inputs": [JSON_INPUT | {"datatype": "FP8"}]},
            "input `x`: `FP8` is not a `datatype`; expected: `BOOL`",
        ),
        ({"inputs": [JSON_INPUT | {"datatype": ["FP32"]}]}, "input `x`: `['FP32']` is not a `datatype`"),
        ({"inputs": [JSON_INPUT | {"data": None}]}, "input `x` has neither `data` nor `binary_data_size`"),
        ({"inputs": [JSON_INPUT | {"parameters": 1}]}, "input `x`: `parameters` is not an object"),
        (
            {"inputs": [JSON_INPUT | {"parameters": {"binary_data_size": 8}}]},
            "input `x` has both `data` and `binary_data_size`",
        ),
        ({"inputs": [{}] * (MAX_TENSORS + 1)}, f"`inputs` has `1025` entries, at most `{MAX_TENSORS}`"),
        (
            _message(outputs=[{}] * (MAX_TENSORS + 1)),
            f"`outputs` has `1025` entries, at most `{MAX_TENSORS}`",
        ),
        (_message(id=7), "`id` is not a string, got `7`"),
        (_message(id={"a": 7}), "`id` is not a string, got `{'a': 7}`"),
        (_message(outputs=7), "`outputs` is not a list"),
        (_message(outputs=[{}]), "`outputs[0]` has no `name`"),
        (_message(outputs=[{"name": "y"}] * 2), "output `y` already exists in the request"),
        (
            _message(parameters={"binary_data_output": 1}),
            "the request: `binary_data_output` is not true or false, got `1`",
        ),
        (_message(parameters=[]), "the request: `parameters` is not an object"),
        (
            _message(outputs=[{"name": "y", "parameters": {"binary_data": "yes"}}]),
            "output `y`: `binary_data` is not true or false, got `yes`",
        ),
    ],
)
def test_a_message_that_is_not_one_is_refused_with_its_place(
    message: object, problem: str, padding: bytes
) -> None:
    with pytest.raises(MalformedRequestError) as error:
        read_request(orjson.dumps(message) + padding)
    assert problem in str(error.value)


PLACE: dict[str, object] = {"shared_memory_region": "r", "shared_memory_byte_size": 8}


def test_tensors_may_be_in_shared_memory() -> None:
    message = _message(
        inputs=[
            {"name": "a", "datatype": "INT8", "shape": [2], "data": [1, 2]},
            {"name": "b", "datatype": "FP32", "shape": [2], "parameters": PLACE},
        ],
        outputs=[{"name": "y", "parameters": {**PLACE, "shared_memory_offset": 3}}, {"name": "z"}],
    )
    request = read_request(orjson.dumps(message))
    assert list(request.inputs) == ["a"]
    assert request.placed == {"b": (Placement("r", 8), BY_NAME["FP32"], [2])}
    assert request.outputs["y"].placement == Placement("r", 8, 3)
    assert request.outputs["z"].placement is None
    assert request.has_placements
    assert not read_request(orjson.dumps(_message())).has_placements


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"shared_memory_region": 1}, "`shared_memory_region` is `1`, expected a name"),
        ({"shared_memory_region": ""}, "expected a name"),
        ({"shared_memory_region": "r"}, "`shared_memory_byte_size` is `None`, expected a whole number"),
        ({**PLACE, "shared_memory_byte_size": -1}, "`shared_memory_byte_size` is `-1`"),
        ({**PLACE, "shared_memory_byte_size": "8"}, "`shared_memory_byte_size` is `8`"),
        ({**PLACE, "shared_memory_offset": 1.5}, "`shared_memory_offset` is `1.5`"),
        ({**PLACE, "shared_memory_offset": 1e300}, "`shared_memory_offset`"),
    ],
)
def test_a_place_that_is_none_is_refused(parameters: dict[str, object], problem: str) -> None:
    entry = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": parameters}
    for message in (_message(inputs=[entry]), _message(outputs=[entry])):
        with pytest.raises(MalformedRequestError, match=problem):
            read_request(orjson.dumps(message))


def test_a_tensor_in_two_places_is_refused() -> None:
    entry: dict[str, object] = {"name": "x", "datatype": "INT8", "shape": [1], "parameters": PLACE}
    with_bytes: dict[str, object] = {**PLACE, "binary_data_size": 0}
    for inputs in ([{**entry, "data": [1]}], [{**entry, "parameters": with_bytes}]):
        with pytest.raises(MalformedRequestError, match="is in shared memory and in the message"):
            read_request(orjson.dumps(_message(inputs=inputs)))
    classified = [{"name": "y", "parameters": {**PLACE, "classification": 2}}]
    with pytest.raises(MalformedRequestError, match="a classification is not put into shared memory"):
        read_request(orjson.dumps(_message(outputs=classified)))


@PADDINGS
def test_what_is_asked_beside_the_tensors_is_read(padding: bytes) -> None:
    outputs = [{"name": "y", "parameters": {"classification": 3, "binary_data": True}}, {"name": "z"}]
    request = read_request(orjson.dumps(_message(outputs=outputs, parameters={"timeout": 1500})) + padding)
    assert request.outputs == {"y": RequestedOutput(True, 3), "z": RequestedOutput(False)}
    assert request.timeout_seconds == 0.0015


@pytest.mark.parametrize("value", [-1, 1.5, True, "3", None])
def test_a_number_of_classes_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(MalformedRequestError, match="output `y`: "):
        read_request(orjson.dumps(_message(outputs=[{"name": "y", "parameters": {"classification": value}}])))


@PADDINGS
def test_unknown_members_and_parameters_are_ignored(padding: bytes) -> None:
    extra = {"extra": [1], "a\0b": 1, "parameters": {"priority": 1, "custom": "x", "c\0d": 1}}
    assert read_request(orjson.dumps(_message(**extra)) + padding).inputs["x"].tolist() == FLOATS.tolist()


@PADDINGS
def test_a_request_with_more_members_than_are_looked_up_is_read(padding: bytes) -> None:
    extra = {f"extra {position}": [position] for position in range(100)}
    message = _message(**extra) | {"inputs": [JSON_INPUT | extra]}
    assert read_request(orjson.dumps(message) + padding).inputs["x"].tolist() == FLOATS.tolist()


@pytest.mark.parametrize(
    ("size", "tail", "problem"),
    [
        (8, b"1234567", "`binary_data_size` is `8`, but `7` bytes are left in the body"),
        (8, b"123456789", "`1` bytes after the JSON belong to no input's `binary_data_size`"),
        (4, b"1234", "takes `8` bytes, got `4`"),
        (-8, b"12345678", "`binary_data_size` is `-8`"),
        (2**63, b"12345678", "`binary_data_size` is `9223372036854775808`"),
        ("8", b"12345678", "`binary_data_size` is `8`"),
        (True, b"1", "`binary_data_size` is `True`"),
        ([[[[[[[[1]]]]]]]], b"1", "`binary_data_size` is"),
    ],
)
def test_sizes_that_lie_are_refused(size: Any, tail: bytes, problem: str) -> None:
    entry = BINARY_INPUT | {"parameters": {"binary_data_size": size}}
    written = orjson.dumps({"inputs": [entry]})
    with pytest.raises(MalformedRequestError) as error:
        read_request(written + tail, len(written))
    assert problem in str(error.value)


@pytest.mark.parametrize("size", [-1, 10**18])
def test_a_length_of_json_beyond_the_body_is_refused(size: int) -> None:
    with pytest.raises(MalformedRequestError, match="bytes of JSON, the body has"):
        read_request(b"{}", size)


def test_a_length_that_cuts_the_json_is_refused() -> None:
    text = orjson.dumps(_message())
    with pytest.raises(MalformedRequestError, match="not valid JSON"):
        read_request(text, len(text) - 1)


def test_binary_data_without_a_length_of_json_are_refused() -> None:
    with pytest.raises(MalformedRequestError):
        read_request(orjson.dumps({"inputs": [BINARY_INPUT]}) + FLOATS.tobytes())


def _signature(datatype: str, *shapes: tuple[int | str | None, ...]) -> Signature:
    specs = tuple(TensorSpec(f"x{index}", BY_NAME[datatype], shape) for index, shape in enumerate(shapes))
    return Signature(specs, ())


@pytest.mark.parametrize(
    ("shape", "expected"), [(("N", 2), (2, 2)), ((2, 2), (2, 2)), ((2, 2, None), (2, 2, 1)), ((4,), (4,))]
)
def test_a_raw_body_is_the_only_input(shape: tuple[int | str | None, ...], expected: tuple[int, ...]) -> None:
    request = read_raw_request(np.arange(4, dtype=np.int32).tobytes(), _signature("INT32", shape))
    assert request.inputs["x0"].shape == expected
    assert request.inputs["x0"].ravel().tolist() == [0, 1, 2, 3]
    assert request.wants_binary("y")


def test_a_raw_body_is_one_string_as_it_is() -> None:
    request = read_raw_request("naïve".encode(), _signature("BYTES", ("N", 1)))
    assert request.inputs["x0"].tolist() == [["naïve"]]


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        (_signature("INT32", (1,), (1,)), "needs a model with one input; this one has `x0`, `x1`"),
        (_signature("INT32", ("N", "M")), "at most one size that varies; input `x0` has `[-1, -1]`"),
        (_signature("INT32", ("N", 2)), "takes `8` bytes, got `12`"),
        (_signature("INT32", ("N", 0)), "takes `0` bytes, got `12`"),
    ],
)
def test_a_raw_body_that_cannot_be_the_input_is_refused(signature: Signature, problem: str) -> None:
    with pytest.raises(EngineError) as error:
        read_raw_request(bytes(12), signature)
    assert problem in str(error.value)


def test_requests_that_differ_in_their_binary_tensors_alone_do_not_share_them() -> None:
    text = b'{"inputs":[{"name":"x","shape":[2],"datatype":"INT32","parameters":{"binary_data_size":8}}]}'
    first, second = (
        read_request(text + np.array(numbers, np.int32).tobytes(), len(text)) for numbers in ([1, 2], [3, 4])
    )
    assert (first.inputs["x"].tolist(), second.inputs["x"].tolist()) == ([1, 2], [3, 4])
    for tail in (b"", bytes(4), bytes(12)):
        with pytest.raises(MalformedRequestError, match="bytes"):
            read_request(text + tail, len(text))
