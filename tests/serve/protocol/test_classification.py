from typing import Any

import ml_dtypes
import numpy as np
import pytest

from serve.engine.datatypes import BFLOAT16
from serve.engine.errors import MalformedRequestError
from serve.engine.signature import Array
from serve.protocol.classification import MAX_ENTRIES, classify


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
    for row, found in zip(scores, classify("y", scores, 40), strict=True):
        expected = sorted(range(40), key=lambda place: (-float(row[place]), place))
        assert [int(text.split(":")[1]) for text in found] == expected


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
