"""Samples about the levels of trees."""

import numpy as np
import pytest

from convert.model_io.levels import fill_levels

LEVELS = ((0.5, 1.5), (), (100000.0,))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_number_of_a_row_is_at_a_level_or_next_to_it(dtype: type) -> None:
    rows = fill_levels(LEVELS, 64, np.dtype(dtype), np.random.default_rng(0))
    levels = np.asarray([0.5, 1.5, 100000.0]).astype(np.dtype(dtype))
    near = np.concatenate([levels, np.nextafter(levels, -np.inf), np.nextafter(levels, np.inf)])
    assert rows.shape == (64, 3)
    assert rows.dtype == dtype
    assert np.isin(rows, near).sum(axis=1).tolist() == [1] * 64
    assert set(near.tolist()) <= set(rows.reshape(-1).tolist())


def test_every_interval_between_levels_is_tried() -> None:
    column = fill_levels(LEVELS, 64, np.dtype(np.float64), np.random.default_rng(0))[:, 0]
    assert {int(np.searchsorted([0.5, 1.5], number)) for number in column} == {0, 1, 2}
