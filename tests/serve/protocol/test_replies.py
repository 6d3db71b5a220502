from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest

from serve.engine.datatypes import BFLOAT16
from serve.engine.errors import MalformedRequestError, NotExpressibleError
from serve.engine.signature import Array
from serve.protocol.json_writing import PIECE_VALUES
from serve.protocol.messages import InferRequest, RequestedOutput
from serve.protocol.replies import MAX_ENTRIES, Answerer, classify, takes_long_to_write, write_reply

FLOATS = np.array([[1.5, -2]], np.float32)


def test_a_reply_in_json_is_flat_and_echoes_the_id() -> None:
    reply = write_reply(Answerer("m", "2"), InferRequest({}, id="7"), {"y": FLOATS, "z": np.array([[True]])})
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


def test_a_reply_mixes_json_and_binary_in_order() -> None:
    request = InferRequest(
        {}, outputs={"a": RequestedOutput(True), "b": RequestedOutput(False), "c": RequestedOutput(True)}
    )
    twice = FLOATS * 2
    reply = write_reply(Answerer("m", "1"), request, {"a": FLOATS, "b": FLOATS, "c": twice})
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
        write_reply(Answerer("m", "1"), InferRequest({}), {"y": array})
    binary = InferRequest({}, binary_by_default=True)
    assert write_reply(Answerer("m", "1"), binary, {"y": array}).body.endswith(array.tobytes())


def test_the_word_null_in_a_reply_is_no_missing_number() -> None:
    outputs = {"null": np.array([1.5]), "text": np.array(["null"], np.object_)}
    reply = write_reply(Answerer("m", "1"), InferRequest({}, id="null"), outputs)
    assert [entry["data"] for entry in orjson.loads(reply.body)["outputs"]] == [[1.5], ["null"]]


@pytest.mark.parametrize("binary", [False, True])
def test_a_classified_output_has_its_highest_scores(binary: bool) -> None:
    request = InferRequest({}, outputs={"y": RequestedOutput(binary, 1), "z": RequestedOutput(False)})
    reply = write_reply(Answerer("m", "1", ["cat", "dog"]), request, {"y": FLOATS, "z": FLOATS})
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
        write_reply(Answerer("m", "1"), request, {"y": np.array([True])})


def test_the_highest_scores_of_each_row_come_first() -> None:
    scores = np.array([[0.25, 4.0, -1.0], [3.0, 2.0, 1.0]], np.float32)
    assert classify("y", scores, 2).tolist() == [["4.0:1", "0.25:0"], ["3.0:0", "2.0:1"]]


def test_a_class_that_has_a_name_is_named() -> None:
    assert classify("y", np.array([[1, 2]]), 1, ["cat", "dog"]).tolist() == [["2:1:dog"]]


def test_names_that_are_not_those_of_the_scores_are_left_out() -> None:
    assert classify("y", np.array([[1, 2]]), 1, ["cat", "dog", "cow"]).tolist() == [["2:1"]]


def test_more_than_there_are_gives_all() -> None:
    assert classify("y", np.zeros((2, 3)), 10**18).shape == (2, 3)


def test_an_output_of_one_dimension_is_one_row() -> None:
    assert classify("y", np.array([1.0, 5.0]), 1).tolist() == ["5.0:1"]


def test_sizes_after_the_first_are_the_classes() -> None:
    assert classify("y", np.arange(8).reshape(2, 2, 2), 1).tolist() == [["3:3"], ["7:3"]]


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int64, np.uint64, np.float16, np.float32, np.float64]
)
def test_the_order_is_that_of_sorting_by_score_and_then_by_place(dtype: Any) -> None:
    generator = np.random.default_rng(0)
    scores: Array = generator.integers(0, 6, (5, 40)).astype(dtype)
    for row, entries in zip(scores, classify("y", scores, 40), strict=True):
        expected = sorted(range(40), key=lambda place: (-float(row[place]), place))
        assert [int(text.split(":")[1]) for text in entries] == expected


@pytest.mark.parametrize("dtype", [np.int64, np.int8])
def test_the_lowest_integer_is_the_lowest_score(dtype: Any) -> None:
    scores = np.array([[np.iinfo(dtype).min, np.iinfo(dtype).max]], dtype)
    assert [text.split(":")[1] for text in classify("y", scores, 2)[0]] == ["1", "0"]


def test_nan_comes_last_and_infinities_at_their_ends() -> None:
    scores = np.array([[np.nan, -np.inf, 1.0, np.inf]], np.float32)
    assert classify("y", scores, 4).tolist() == [["inf:3", "1.0:2", "-inf:1", "nan:0"]]


def test_bfloat16_is_read_as_the_numbers_it_stands_for() -> None:
    theirs = np.array([[1.5, 2.5]], ml_dtypes.bfloat16)
    scores = np.frombuffer(theirs.tobytes(), BFLOAT16).reshape(1, 2)
    assert classify("y", scores, 1).tolist() == [["2.5:1"]]


@pytest.mark.parametrize("scores", [np.array([[True]]), np.array([["a"]], np.object_)])
def test_what_is_not_of_numbers_has_no_scores(scores: np.ndarray[Any, Any]) -> None:
    with pytest.raises(MalformedRequestError, match="`classification` needs an output of numbers"):
        classify("y", scores, 1)


def test_more_texts_than_a_reply_may_hold_are_refused() -> None:
    with pytest.raises(MalformedRequestError, match=f"at most `{MAX_ENTRIES}`; ask for fewer"):
        classify("y", np.zeros((MAX_ENTRIES // 2, 3), np.int8), 3)


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0,)])
def test_nothing_has_no_scores(shape: tuple[int, ...]) -> None:
    assert classify("y", np.zeros(shape), 2).size == 0


def test_large_outputs_are_written_as_small_ones_are() -> None:
    count = 2 * PIECE_VALUES + 1
    numbers = np.arange(count, dtype=np.float64)
    outputs = {"a": RequestedOutput(True), "b": RequestedOutput(False)}
    request = InferRequest({}, outputs=outputs)
    big = np.tile(numbers, 9)
    reply = write_reply(Answerer("m", "1"), request, {"a": big, "b": numbers})
    assert takes_long_to_write(request, {"a": big, "b": numbers})
    assert reply.json_bytes is not None
    message = orjson.loads(reply.body[: reply.json_bytes])
    assert message["outputs"][0]["parameters"] == {"binary_data_size": big.nbytes}
    assert message["outputs"][1]["data"] == numbers.tolist()
    assert reply.body[reply.json_bytes :] == big.tobytes()


@pytest.mark.parametrize(
    ("requested", "values", "is_long"),
    [
        (RequestedOutput(False), PIECE_VALUES, False),
        (RequestedOutput(False), PIECE_VALUES + 1, True),
        (RequestedOutput(True), 8 * PIECE_VALUES, False),
        (RequestedOutput(True), 9 * PIECE_VALUES, True),
        (RequestedOutput(True, classification=1), PIECE_VALUES + 1, True),
    ],
)
def test_numbers_in_json_take_longer_than_in_binary(
    requested: RequestedOutput, values: int, is_long: bool
) -> None:
    assert takes_long_to_write(InferRequest({}, {"y": requested}), {"y": np.zeros(values)}) == is_long


def test_nan_in_a_large_output_is_refused() -> None:
    numbers = np.zeros(2 * PIECE_VALUES, np.float32)
    numbers[-1] = np.nan
    with pytest.raises(NotExpressibleError, match="output `y` holds NaN"):
        write_reply(Answerer("m", "1"), InferRequest({}), {"y": numbers})
