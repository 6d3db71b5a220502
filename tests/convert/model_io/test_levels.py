"""Samples about the levels of trees."""

from dataclasses import replace

import numpy as np
import pytest

from convert.model_io.inputs import InputSpec
from convert.model_io.levels import fill_levels

SPEC = InputSpec("x", "float32", ("N", 3), levels=((0.5, 1.5), (), (100000.0,)))


def _find_near(dtype: str) -> np.ndarray[tuple[int], np.dtype[np.floating]]:
    levels = np.asarray([0.5, 1.5, 100000.0], dtype)
    return np.concatenate([levels, np.nextafter(levels, -np.inf), np.nextafter(levels, np.inf)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_number_of_a_row_is_at_a_level_or_next_to_it(dtype: str) -> None:
    rows = fill_levels(replace(SPEC, dtype=dtype), 64, np.random.default_rng(0))
    assert rows.shape == (64, 3)
    assert rows.dtype == dtype
    assert np.isin(rows, _find_near(dtype)).sum(axis=1).tolist() == [1] * 64
    assert set(_find_near(dtype).tolist()) <= set(rows.reshape(-1).tolist())


def test_inputs_take_turns() -> None:
    rows = fill_levels(replace(SPEC, turn=(1, 3)), 64, np.random.default_rng(0))
    at_level = np.isin(rows, _find_near("float32")).any(axis=1)
    assert np.flatnonzero(at_level).tolist() == list(range(1, 64, 3))


def test_every_interval_between_levels_is_tried() -> None:
    column = fill_levels(replace(SPEC, turn=(64, 65)), 64, np.random.default_rng(0))[:, 0]
    assert {int(np.searchsorted([0.5, 1.5], number)) for number in column} == {0, 1, 2}


def test_nothing_lies_between_levels_that_a_rounding_parts() -> None:
    near = replace(SPEC, shape=("N", 1), levels=((1.5, 1.5 + 1e-7, 3.0),), turn=(64, 65))
    column = fill_levels(near, 64, np.random.default_rng(0))
    assert np.abs(column - 1.5).min() > 0.1
