"""Samples about the levels at which a model of trees turns: between them, at them, and just beside them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.model_io.array import Array

BEYOND = 1.0  # the distance of the outermost samples from the outermost levels, or a share of those


def fill_levels(
    levels: Sequence[Sequence[float]], rows: int, dtype: np.dtype[Any], random: np.random.Generator
) -> Array:
    """[rows, columns], each number between two levels of its column.

    But for one number in each row, which is at a level, or the next above or below it that the type has: of
    several at once, each of which a rounding decides, no run would show all combinations.
    """
    columns = [random.choice(_list_between(column), rows) for column in levels]
    numbers: Array = np.stack(columns, axis=1).astype(dtype)
    with_levels = [place for place, column in enumerate(levels) if column]
    for row in range(rows) if with_levels else ():
        place = with_levels[row % len(with_levels)]
        level = np.asarray(random.choice(np.asarray(levels[place])), dtype)
        towards = random.choice([level, np.asarray(-np.inf, dtype), np.asarray(np.inf, dtype)])
        numbers[row, place] = np.nextafter(level, np.asarray(towards, dtype))
    return numbers


def _list_between(levels: Sequence[float]) -> Array:
    """The middles of the intervals into which the levels divide all numbers; without any, usual numbers."""
    if not levels:
        return np.asarray([-1.0, 0.0, 1.0])
    distinct = np.unique(np.asarray(levels, np.float64))
    ends = [distinct[0] - BEYOND - abs(distinct[0]), distinct[-1] + BEYOND + abs(distinct[-1])]
    return np.asarray([ends[0], *((distinct[1:] + distinct[:-1]) / 2), ends[1]])
