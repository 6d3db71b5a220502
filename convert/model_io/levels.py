"""Samples about the levels at which a model of trees turns: between them, at them, and just beside them."""

from collections.abc import Sequence

import numpy as np

from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec

NARROWEST = 1e-5  # of the largest level
BEYOND = 1.0  # the distance of the outermost samples from the outermost levels, or a share of those


def fill_levels(spec: InputSpec, rows: int, random: np.random.Generator) -> Array:
    """[rows, columns], each number between two levels of its column.

    But for one number of each row in which it is the input's turn. It is at a level, or the next above or
    below it that the type has: of several at once, each of which a rounding decides, no run would show all
    combinations.
    """
    levels, dtype, (first, inputs) = spec.levels, np.dtype(spec.dtype), spec.turn
    columns = [random.choice(_list_between(column), rows) for column in levels]
    numbers: Array = np.stack(columns, axis=1).astype(dtype)
    with_levels = [place for place, column in enumerate(levels) if column]
    for row in range(first, rows, inputs) if with_levels else ():
        place = with_levels[row // inputs % len(with_levels)]
        level = np.asarray(random.choice(np.asarray(levels[place])), dtype)
        towards = random.choice([level, np.asarray(-np.inf, dtype), np.asarray(np.inf, dtype)])
        numbers[row, place] = np.nextafter(level, np.asarray(towards, dtype))
    return numbers


def _list_between(levels: Sequence[float]) -> Array:
    """The middles of the intervals into which the levels divide all numbers; without any, usual numbers.

    Levels that differ by a few roundings are one: what lies between them is at both.
    """
    if not levels:
        return np.asarray([-1.0, 0.0, 1.0])
    ascending = np.unique(np.asarray(levels, np.float64))
    distinct = ascending[np.diff(ascending, prepend=-np.inf) > NARROWEST * np.abs(ascending).max()]
    ends = [distinct[0] - BEYOND - abs(distinct[0]), distinct[-1] + BEYOND + abs(distinct[-1])]
    return np.asarray([ends[0], *((distinct[1:] + distinct[:-1]) / 2), ends[1]])
