from pathlib import Path

import numpy as np
import pytest

import serve.engine.model as model_module
from serve.engine.config import ModelConfig
from serve.engine.errors import InvalidInputError
from serve.engine.metrics import Metrics
from tests.serve import models
from tests.serve.engine.loading import load_model


def test_the_manifest_and_its_classes_are_read_from_the_file(tmp_path: Path, metrics: Metrics) -> None:
    manifest = {"format": 1, "classes": ["a", "b", "c"]}
    model = load_model(tmp_path, models.with_manifest(models.model(models.DOUBLE), manifest), metrics)
    assert model.manifest == manifest
    assert model.classes == ["a", "b", "c"]


def test_a_file_without_a_manifest_has_none(tmp_path: Path, metrics: Metrics) -> None:
    model = load_model(tmp_path, models.model(models.DOUBLE), metrics)
    assert model.manifest is None
    assert model.classes == []


BOUNDED = {"sizes": [{"name": "N", "low": 0, "high": 5, "multiple": 1}]}
PAIRS = {"sizes": [{"name": "N", "low": 2, "high": None, "multiple": 2}]}


def test_no_more_rows_are_joined_than_the_model_takes(tmp_path: Path, metrics: Metrics) -> None:
    made = models.with_manifest(models.model(models.DOUBLE), BOUNDED)
    assert load_model(tmp_path, made, metrics).config.batch_rows == 5
    limited = load_model(tmp_path, made, metrics, ModelConfig(batch_rows=3, request_rows=9)).config
    assert (limited.batch_rows, limited.request_rows) == (3, 5)


def test_rows_that_cannot_run_alone_are_not_joined(tmp_path: Path, metrics: Metrics) -> None:
    model = load_model(tmp_path, models.with_manifest(models.model(models.DOUBLE), PAIRS), metrics)
    assert not model.joins
    assert model.signature.zeros()["x"].shape == (2, 3)


def test_loading_measures_what_a_run_costs(tmp_path: Path, metrics: Metrics) -> None:
    short = load_model(tmp_path, models.model(models.DOUBLE), metrics)
    long = load_model(tmp_path, models.slow_model(turns=10_000), metrics)
    assert not long.cost.is_short(1)
    assert short.cost.seconds_per_element < long.cost.seconds_per_element


@pytest.mark.parametrize(
    "text",
    [
        # An index of zero into an empty table, and a window larger than an image of one pixel.
        "m (int64[N] index, float[0] table) => (float[N] y) { y = Gather(table, index) }",
        "m (float[N, 1, H, W] x) => (float[N, 1, A, B] y) { y = MaxPool<kernel_shape = [3, 3]>(x) }",
    ],
)
def test_a_model_that_refuses_zeros_is_assumed_slow(tmp_path: Path, metrics: Metrics, text: str) -> None:
    model = load_model(tmp_path, models.model(text), metrics)
    assert not model.cost.is_short(1)


def test_strings_are_warmed_up_with_empty_ones(tmp_path: Path, metrics: Metrics) -> None:
    model = load_model(tmp_path, models.identity_model("BYTES"), metrics)
    [got] = model.run({"x": np.array([["a", "b"]], np.object_)}, ["y"])
    assert got.tolist() == [["a", "b"]]


def test_joining_is_not_tried_on_a_slow_model(
    tmp_path: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = models.model(models.DOUBLE)
    monkeypatch.setattr(model_module, "MAX_SECONDS", 0.0)
    monkeypatch.setattr(model_module, "try_joining", None)
    assert not load_model(tmp_path, made, metrics).joins


def test_a_text_that_is_no_number_is_the_requests_fault(tmp_path: Path, metrics: Metrics) -> None:
    text = "m (string[N] x) => (float[N] y) { y = Cast<to = 1>(x) }"
    model = load_model(tmp_path, models.model(text), metrics)
    [got] = model.run({"x": np.array(["1.5"], np.object_)}, ["y"])
    assert got.tolist() == [1.5]
    with pytest.raises(InvalidInputError, match="cannot read a text as the number it needs"):
        model.run({"x": np.array(["one and a half"], np.object_)}, ["y"])
