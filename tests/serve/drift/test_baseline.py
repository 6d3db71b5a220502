import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from serve.drift.baseline import MOST_CELLS, MOST_SERIES, BaselineError, read_baseline
from serve.engine.manifest import Json
from tests.serve.drift.files import NET, WORDS, describe, draw, make_baseline

BASELINE = make_baseline(NET, draw(200))
SIGNATURE, OWN = describe(draw(1)), ["y"]


def test_a_baseline_is_what_the_manifest_says() -> None:
    found = read_baseline(BASELINE, SIGNATURE, OWN)
    assert found.rows == 200
    assert [(each.role, each.tensor, each.layer, each.column) for each in found.series] == [
        ("input", "x", "", None),
        ("input", "x", "", 0),
        ("input", "x", "", 1),
        ("output", "y", "", None),
        ("output", "y", "", 0),
        ("output", "y", "", 1),
        ("activation", "inner", "act", None),
    ]
    assert found.series[1].shares.sum() == pytest.approx(1)


def test_outputs_that_are_served_under_other_names_are_found() -> None:
    found = read_baseline(BASELINE, describe(draw(1), outputs=("renamed",)), OWN)
    assert {each.tensor for each in found.series if each.role == "output"} == {"renamed"}


def test_equal_baselines_have_equal_digests() -> None:
    first, second = (read_baseline(content, SIGNATURE, OWN) for content in (BASELINE, deepcopy(BASELINE)))
    other = read_baseline(make_baseline(NET, draw(200, 1)), SIGNATURE, OWN)
    assert first.digest == second.digest != other.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": [0.0] * 19},
        {"edges": [0.0, float("nan")], "counts": [1, 2, 3]},
        {"edges": [0.0, float("inf")], "counts": [1, 2, 3]},
        {"edges": [1.0, 0.0], "counts": [1, 2, 3]},
        {"edges": ["0"], "counts": [1, 2]},
        {"edges": list(range(MOST_CELLS)), "counts": [1] * (MOST_CELLS + 1)},
        {"edges": list(range(10**6)), "counts": [1] * (10**6 + 1)},
        {"edges": None},
        {"counts": [1, 2]},
        {"counts": [-1] * 20},
        {"counts": [0] * 20},
        {"counts": [2**60] * 20},
        {"counts": [0.5] * 20},
        {"counts": [True] * 20},
        {"counts": {}},
        {"low": None},
        {"edges": [], "counts": [0]},
        {"edges": [], "categories": ["a"], "counts": [0, 0]},
        {"low": 5.0, "high": -5.0},
        {"outside": 1.5},
        {"outside": None},
        {"outside": "0"},
        {"categories": ["a"]},
        {"categories": ["a", "a"], "edges": [], "counts": [1, 2, 3]},
        {"categories": ["a" * 65], "edges": [], "counts": [1, 2]},
        {"categories": [1], "edges": [], "counts": [1, 2]},
        {"role": "label"},
        {"role": None},
        {"role": ["input"]},
        {"tensor": "z"},
        {"tensor": None},
        {"tensor": "x" * 10_000},
        {"layer": 7},
        {"rows": 0},
        {"rows": None},
        {"column": -1},
        {"column": 64},
        {"column": 0.5},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_series_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    content = deepcopy(BASELINE)
    content["series"][0] |= changes
    with pytest.raises(BaselineError):
        read_baseline(content, SIGNATURE, OWN)


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": 0},
        {"rows": "200"},
        {"rows": 1e9},
        {"note": json.loads("[" * 300 + "]" * 300)},
        {"series": []},
        {"series": {}},
        {"series": [None]},
        {"series": [BASELINE["series"][0]] * (MOST_SERIES + 1)},
        {"series": [BASELINE["series"][0] | {"edges": [], "counts": [7], "low": None, "high": None}]},
    ],
    ids=lambda changes: str(changes)[:20],
)
def test_a_baseline_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BaselineError):
        read_baseline(BASELINE | changes, SIGNATURE, OWN)


def test_too_many_activations_are_refused() -> None:
    content = deepcopy(BASELINE)
    layer = content["series"].pop()
    content["series"] += [layer | {"tensor": f"inner{place}"} for place in range(65)]
    with pytest.raises(BaselineError, match="more than 64 tensors"):
        read_baseline(content, SIGNATURE, OWN)


@pytest.mark.parametrize("content", [[], "baseline", 7, True, None])
def test_what_is_no_object_is_refused(content: Json) -> None:
    with pytest.raises(BaselineError):
        read_baseline(content, SIGNATURE, OWN)


def test_numbers_are_not_compared_with_texts() -> None:
    words = np.array(["a"] * 200, object)
    with pytest.raises(BaselineError, match="holds no numbers"):
        read_baseline(BASELINE, describe(words), OWN)
    content = make_baseline(WORDS, words)
    content["series"] = content["series"][:1]
    content["series"][0]["tensor"] = "x"
    with pytest.raises(BaselineError, match="holds numbers"):
        read_baseline(content, SIGNATURE, OWN)
