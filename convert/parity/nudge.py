"""Samples moved by a rounding: what the original gives for these shows how exactly it is defined there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.model_io.array import Array

SHIFT = 4  # roundings, of what stands between an input and a threshold: an offset, a scale


def nudge(arrays: Sequence[Array], seed: int) -> list[Array]:
    """The arrays with each floating point number moved by one unit in the last place, up or down."""
    random = np.random.default_rng(seed)
    return [_nudge_array(array, random) if array.dtype.kind == "f" else array for array in arrays]


def shift(arrays: Sequence[Array], sign: int) -> list[Array]:
    """The arrays with each floating point number moved by the rounding of the largest of its column."""
    return [_shift_array(array, sign) if array.dtype.kind == "f" else array for array in arrays]


def _shift_array(array: Array, sign: int) -> Array:
    largest = np.abs(array).max(axis=0, keepdims=True, initial=0.0)
    moved: Array = array + sign * SHIFT * np.finfo(array.dtype).eps * largest
    return moved.astype(array.dtype)


def _nudge_array(array: Array, random: np.random.Generator) -> Array:
    towards: Any = np.where(random.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    moved = np.nextafter(array, towards)
    return np.where((array == 0) | ~np.isfinite(moved), array, moved)
