"""Live values counted in the cells of a baseline.

A tally is a row of whole numbers: how many rows of requests, values, values outside the range, and NaN; and
then the values in each cell. Tallies of other times and of other processes are added up.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from convert.manifest.baseline import LONGEST_CATEGORY
from serve.drift.baseline import BaselineSeries, Cells
from serve.engine.signature import Array

ROWS, VALUES, OUTSIDE, MISSING, FIRST_CELL = range(5)
Tally = NDArray[np.int64]


def count_values(series: BaselineSeries, values: Array, rows: int, width: int) -> Tally:
    """The tally of the values, of whatever shape, of so many rows; as wide as that of any series."""
    tally = np.zeros(width, np.int64)
    tally[ROWS], tally[VALUES] = rows, values.size
    if series.categories:
        found = count_categories(values)
        known = [found.get(name, 0) for name in series.categories]
        cells = np.array([*known, values.size - sum(known)], np.int64)
    else:
        numbers = values.astype(np.float64).reshape(-1)
        missing = np.isnan(numbers)
        tally[MISSING] = missing.sum()
        tally[OUTSIDE] = count_outside(series, numbers)
        cells = count_numbers(series.edges, numbers[~missing])
    tally[FIRST_CELL : FIRST_CELL + len(cells)] = cells
    return tally


def count_outside(series: BaselineSeries, numbers: Cells) -> int:
    """The numbers that leave the range, with NaN; where real data held no finite one, those that are."""
    if not series.has_range:
        return int(np.isfinite(numbers).sum())
    return int(numbers.size - ((numbers >= series.low) & (numbers <= series.high)).sum())


def get_cells(series: BaselineSeries, tally: Tally) -> Tally:
    """The values in each cell of the series."""
    return tally[FIRST_CELL : FIRST_CELL + len(series.counts)]


def count_numbers(edges: Cells, numbers: Array) -> Tally:
    """How many of the numbers, of which none is NaN, are in each cell between the edges."""
    return np.bincount(np.searchsorted(edges, numbers, side="right"), minlength=len(edges) + 1)


def count_categories(values: Array) -> Mapping[str, int]:
    """How often each text, or each whole number written as one, is there."""
    if values.dtype.kind not in "biu":
        return Counter(str(text)[:LONGEST_CATEGORY] for text in values.reshape(-1).tolist())
    numbers, counts = np.unique(values, return_counts=True)
    return {str(int(number)): int(count) for number, count in zip(numbers, counts, strict=True)}
