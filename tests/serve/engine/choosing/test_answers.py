from typing import Any

import numpy as np
import pytest

from serve.engine.choosing.answers import (
    UNKNOWN,
    Tolerance,
    are_same,
    explain_silence,
    find_difference,
    read_tolerances,
)

ONES = np.ones(3, np.float32)


def differ(expected: Any, got: Any, tolerance: Tolerance | None = None) -> str:
    given = {} if tolerance is None else {"y": tolerance}
    return find_difference(["y"], [np.asarray(expected)], [np.asarray(got)], given)


def test_the_manifest_allows_what_parity_allows_a_file() -> None:
    entry: dict[str, Any] = {
        "name": "y",
        "typical_scale": 2.0,
        "original_quantiles": {"1.0": 1e-6},
        "tolerance": None,
    }
    tolerance = read_tolerances({"parity": {"outputs": [entry]}})["y"]
    assert tolerance.share == pytest.approx(4 * 0.5e-6 + 4 * 1.1920929e-07)
    assert differ(ONES, ONES + np.float32(3e-6), tolerance) == ""
    assert "the criterion allows" in differ(ONES, ONES + np.float32(1e-5), tolerance)


def test_what_the_user_tolerates_is_allowed_too() -> None:
    entry: dict[str, Any] = {
        "name": "y",
        "typical_scale": 1.0,
        "original_quantiles": {"1.0": 0.0},
        "tolerance": 0.01,
    }
    assert read_tolerances({"parity": {"outputs": [entry]}})["y"].share > 0.01


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        {},
        {"parity": None},
        {"parity": {"outputs": [3, {"name": 4}, {"name": "y", "typical_scale": "x"}]}},
    ],
)
def test_without_a_usable_manifest_little_is_allowed(manifest: Any) -> None:
    tolerances = read_tolerances(manifest)
    assert find_difference(["y"], [ONES], [ONES * np.float32(1 + UNKNOWN / 2)], tolerances) == ""
    assert find_difference(["y"], [ONES], [ONES * np.float32(1 + 3 * UNKNOWN)], tolerances)


def test_a_rounded_file_may_differ_by_what_rounding_cost() -> None:
    tolerance = read_tolerances({"rounding": {"losses": [{"output": "y", "typical": 0.01}]}})["y"]
    assert tolerance.of_mean
    assert differ(np.ones(400, np.float32), np.r_[np.ones(399), 1.05].astype(np.float32), tolerance) == ""
    assert differ(ONES, ONES * np.float32(1.02), tolerance)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ([1.0, np.nan], [1.0, 1.0]),
        ([1.0, 1.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([1, 2], [1, 3]),
        ([True], [False]),
        ([1.0], [[1.0]]),
        ([1.0], [1]),
    ],
)
def test_what_must_be_the_same(expected: Any, got: Any) -> None:
    assert differ(expected, got)
    assert not differ(expected, expected)


def test_nothing_is_an_answer_too() -> None:
    assert differ(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)) == ""


def test_answers_that_show_nothing_are_named() -> None:
    assert explain_silence([[ONES], [2 * ONES]]) == ""
    assert "the same for all" in explain_silence([[ONES], [ONES]])
    assert "not finite" in explain_silence([[ONES * np.nan], [ONES * np.nan]])


def test_any_nan_is_nan() -> None:
    assert are_same([ONES * np.nan], [ONES * np.nan])
    assert not are_same([ONES], [2 * ONES])
