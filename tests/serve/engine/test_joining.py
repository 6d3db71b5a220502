from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serve.engine.config import ModelConfig
from serve.engine.errors import ConfigError
from serve.engine.joining import (
    JoiningTrial,
    count_few,
    count_rows,
    has_rows,
    join_requests,
    split_rows,
    try_joining,
)
from serve.engine.metrics import Metrics
from tests.serve import models
from tests.serve.engine.loading import load_model, load_session


def _joined(folder: Path, text: str, run_seconds: float = 0.001, max_rows: int = 32) -> JoiningTrial:
    session = load_session(models.put(folder, "m", models.model(text)))
    return try_joining(session.run, session.signature, run_seconds, max_rows)


@pytest.mark.parametrize(
    "text",
    [
        models.DOUBLE,
        models.ADD_SUB,
        models.LOOKUP,
        "m (float[N, 3] x) => (float[N, 3] y) { y = Softmax<axis = 1>(x) }",
        "m (float[N, 2] x) => (int64[N] y) { y = ArgMax<axis = 1, keepdims = 0>(x) }",
        "m (string[N, 2] x) => (string[N, 2] y) { y = Identity(x) }",
        "m (float16[N, 3] x) => (float16[N, 3] y) { y = Tanh(x) }",
        "m (float[N, 3] x) => (float[N, 3] y) { y = Sqrt(x) }",  # NaN for a negative number
    ],
)
def test_rows_that_do_not_meet_are_independent_and_exact(tmp_path: Path, text: str) -> None:
    joined = _joined(tmp_path, text)
    assert joined.is_independent
    assert joined.is_exact


@pytest.mark.parametrize("max_rows", [2, 3, 32])
@pytest.mark.parametrize(
    "text",
    [
        "m (float[N, 3] x) => (float[N, 3] y) { y = Softmax<axis = 0>(x) }",
        "m (float[N, 3] x) => (float[N, 3] y) { m = ReduceMean(x) y = Sub(x, m) }",
        "m (int64[N] x) => (int64[N] y) { s = ReduceSum(x) y = Add(x, s) }",
        "m (float[N, 3] x) => (float[M, 3] y) { k = Constant<value_ints = [0]>() y = ReduceSum(x, k) }",
    ],
)
def test_rows_that_change_each_other_are_seen(tmp_path: Path, text: str, max_rows: int) -> None:
    assert not _joined(tmp_path, text, max_rows=max_rows).is_independent


def test_only_tensors_whose_first_size_varies_have_rows(tmp_path: Path) -> None:
    for text, expected in (
        (models.DOUBLE, True),
        (models.TOTAL, False),
        ("m (float[1, 3] x) => (float[1, 3] y) { y = Neg(x) }", False),
        ("m () => (float[N] y) { y = Constant<value_floats = [1.0]>() }", False),
    ):
        assert has_rows(load_session(models.put(tmp_path, "m", models.model(text))).signature) is expected


@pytest.mark.parametrize(
    ("independent", "exact", "seconds", "auto", "on"),
    [
        (True, True, 0.5, True, True),
        (True, True, 1.0, True, True),  # exact, and no slower
        (True, True, 1.1, False, True),
        (True, False, 0.1, False, True),  # faster, and other answers than alone
        (False, False, 0.1, False, None),
    ],
)
def test_what_is_joined_unasked_is_exact_and_pays(
    independent: bool, exact: bool, seconds: float, auto: bool, on: bool | None
) -> None:
    joined = JoiningTrial(independent, exact, seconds, 1.0)
    assert joined.allows("auto") is auto
    if on is None:
        with pytest.raises(ConfigError, match="was seen to change"):
            joined.allows("on")
    else:
        assert joined.allows("on") is on


def test_where_joining_hardly_pays_few_share_a_run() -> None:
    assert not JoiningTrial(True, True, 0.9, 1.0).pays
    assert [count_few(waiting, 0.003) for waiting in (1, 7, 8, 15, 16, 100)] == [1, 1, 2, 3, 4, 5]
    assert [count_few(100, seconds) for seconds in (0.0, 0.007, 0.008, 10.0)] == [1, 2, 1, 1]


def _dense() -> onnx.ModelProto:
    """A matrix too large for the cache: reading it once for many rows is what pays."""
    made = models.model(
        "m (float[N, 1024] x, float[1024, 1024] w) => (float[N, 1024] y) { y = MatMul(x, w) }"
    )
    del made.graph.input[1]
    made.graph.initializer.append(numpy_helper.from_array(np.ones((1024, 1024), np.float32), "w"))
    return made


@pytest.mark.parametrize(
    ("config", "joins"),
    [(ModelConfig(), True), (ModelConfig(batching="off"), False), (ModelConfig(batch_rows=1), False)],
)
def test_a_model_joins_where_it_was_measured_to_pay(
    tmp_path: Path, metrics: Metrics, config: ModelConfig, joins: bool
) -> None:
    assert load_model(tmp_path, _dense(), metrics, config).joins is joins


def test_rows_are_joined_and_parted_in_order() -> None:
    requests = [{"x": np.arange(count) + 10 * count, "y": np.zeros((count, 2))} for count in (2, 1, 3)]
    joined = join_requests(requests)
    assert joined["x"].tolist() == [20, 21, 10, 30, 31, 32]
    parted = split_rows([joined["x"]], [2, 1, 3])
    assert parted is not None
    assert [answer.tolist() for [answer] in parted] == [[20, 21], [10], [30, 31, 32]]
    assert split_rows([joined["x"], np.zeros(5)], [2, 1, 3]) is None
    assert split_rows([np.array(1.0)], [1]) is None


def test_rows_are_counted_by_the_first_input() -> None:
    assert count_rows({"x": np.zeros((5, 2)), "y": np.zeros(3)}) == 5
    assert count_rows({"x": np.array(1.0)}) == count_rows({}) == 1
