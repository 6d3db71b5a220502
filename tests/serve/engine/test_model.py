from pathlib import Path

import numpy as np
import pytest

from serve.engine.metrics import Metrics
from tests.serve import models
from tests.serve.engine.loaded import served


def test_the_manifest_and_its_classes_are_read_from_the_file(tmp_path: Path, metrics: Metrics) -> None:
    manifest = {"format": 1, "classes": ["a", "b", "c"]}
    model = served(tmp_path, models.with_manifest(models.model(models.DOUBLE), manifest), metrics)
    assert model.manifest == manifest
    assert model.classes == ["a", "b", "c"]


def test_a_file_without_a_manifest_has_none(tmp_path: Path, metrics: Metrics) -> None:
    model = served(tmp_path, models.model(models.DOUBLE), metrics)
    assert model.manifest is None
    assert model.classes == []


def test_loading_measures_what_a_run_costs(tmp_path: Path, metrics: Metrics) -> None:
    short = served(tmp_path, models.model(models.DOUBLE), metrics)
    long = served(tmp_path, models.slow_model(turns=10_000), metrics)
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
def test_a_model_that_takes_no_zeros_is_served_and_taken_for_long(
    tmp_path: Path, metrics: Metrics, text: str
) -> None:
    model = served(tmp_path, models.model(text), metrics)
    assert not model.cost.is_short(1)


def test_strings_are_warmed_up_with_empty_ones(tmp_path: Path, metrics: Metrics) -> None:
    model = served(tmp_path, models.identity_model("BYTES"), metrics)
    [got] = model.run({"x": np.array([["a", "b"]], np.object_)}, ["y"])
    assert got.tolist() == [["a", "b"]]
