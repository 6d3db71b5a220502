import numpy as np
import orjson
import pytest

from serve.engine.errors import MalformedRequestError, NotExpressibleError
from serve.engine.signature import Array
from serve.protocol.messages import InferRequest, RequestedOutput
from serve.protocol.replies import write_reply

FLOATS = np.array([[1.5, -2]], np.float32)


def test_a_reply_in_json_is_flat_and_echoes_the_id() -> None:
    reply = write_reply("m", "2", InferRequest({}, id="7"), {"y": FLOATS, "z": np.array([[True]])})
    assert reply.json_bytes is None
    assert orjson.loads(reply.body) == {
        "model_name": "m",
        "model_version": "2",
        "id": "7",
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]},
            {"name": "z", "datatype": "BOOL", "shape": [1, 1], "data": [True]},
        ],
    }


def test_a_reply_mixes_json_and_binary_in_the_order_of_the_outputs() -> None:
    request = InferRequest(
        {}, outputs={"a": RequestedOutput(True), "b": RequestedOutput(False), "c": RequestedOutput(True)}
    )
    twice = FLOATS * 2
    reply = write_reply("m", "1", request, {"a": FLOATS, "b": FLOATS, "c": twice})
    assert reply.json_bytes is not None
    message = orjson.loads(reply.body[: reply.json_bytes])
    assert "id" not in message
    assert [entry.get("parameters") for entry in message["outputs"]] == [
        {"binary_data_size": 8},
        None,
        {"binary_data_size": 8},
    ]
    assert [entry.get("data") for entry in message["outputs"]] == [None, [1.5, -2.0], None]
    assert reply.body[reply.json_bytes :] == FLOATS.tobytes() + twice.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_only_a_binary_reply_carries_nan_and_infinities(value: float, dtype: type) -> None:
    array: Array = np.array([1, value], dtype)
    with pytest.raises(NotExpressibleError, match="output `y` holds NaN or an infinity"):
        write_reply("m", "1", InferRequest({}), {"y": array})
    binary = InferRequest({}, binary_by_default=True)
    assert write_reply("m", "1", binary, {"y": array}).body.endswith(array.tobytes())


def test_the_word_null_in_a_reply_is_no_missing_number() -> None:
    outputs = {"null": np.array([1.5]), "text": np.array(["null"], np.object_)}
    reply = write_reply("m", "1", InferRequest({}, id="null"), outputs)
    assert [entry["data"] for entry in orjson.loads(reply.body)["outputs"]] == [[1.5], ["null"]]


@pytest.mark.parametrize("binary", [False, True])
def test_an_output_that_is_classified_is_answered_with_its_highest_scores(binary: bool) -> None:
    request = InferRequest({}, outputs={"y": RequestedOutput(binary, 1), "z": RequestedOutput(False)})
    reply = write_reply("m", "1", request, {"y": FLOATS, "z": FLOATS}, ["cat", "dog"])
    message = orjson.loads(reply.body[: reply.json_bytes])
    assert message["outputs"][0]["datatype"] == "BYTES"
    assert message["outputs"][0]["shape"] == [1, 1]
    assert message["outputs"][1]["data"] == [1.5, -2.0]
    text = b"1.5:0:cat"
    if binary:
        assert reply.body[reply.json_bytes :] == len(text).to_bytes(4, "little") + text
    else:
        assert message["outputs"][0]["data"] == [text.decode()]


def test_what_has_no_scores_is_not_classified() -> None:
    request = InferRequest({}, outputs={"y": RequestedOutput(False, 1)})
    with pytest.raises(MalformedRequestError, match="`classification` needs an output of numbers"):
        write_reply("m", "1", request, {"y": np.array([True])})
