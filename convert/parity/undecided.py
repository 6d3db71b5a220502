"""What the original's own runs leave open, and the infinities that they are sure of."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convert.model_io.array import Array


def excuse_jumps(
    file: Array, originals: Sequence[Array], floor: float, own: Array, errors: Array
) -> tuple[Array, Array]:
    """The errors, the original's and the file's, where a jump counts as none of either."""
    jumped = own > floor
    nearest = np.min([np.abs(file.astype(np.float64) - original) for original in originals], axis=0)
    return np.where(jumped, 0, own), np.where(jumped, np.fmin(errors, nearest), errors)


def find_undecided(own: Array, reference: Array, file: Array) -> Array:
    """Where the file may give other whole numbers or truth values: where the original itself does.

    Where it does in a row of ranks, along the last axis, they may all change places, since two that do say
    that their neighbours are about equal too.
    """
    differs: Array = own > 0
    if differs.ndim < 2 or file.dtype.kind not in "iu" or not differs.any():
        return differs
    ranks, given = np.sort(reference), np.sort(file)
    is_reordered = np.all(ranks == given, axis=-1) & np.all(np.diff(ranks) != 0, axis=-1)
    rows: Array = np.any(differs, axis=-1) & is_reordered
    undecided: Array = differs | rows[..., None]
    return undecided


def find_lost_infinities(reference: Array, originals: Sequence[Array], file: Array) -> Array:
    """Where all runs of the original give the same infinity, and the file something else."""
    is_sure = np.isinf(reference) & np.all([original == reference for original in originals], axis=0)
    lost: Array = is_sure & (file != reference)
    return lost


def mark_largest(values: Array, dtype: np.dtype[Any]) -> Array:
    """The values, infinite where they are the largest number of their own type or of the original's, `dtype`.

    Code that asks for it, as `nan_to_num` or a mask of `torch.finfo(x.dtype).min`, has another in float64.
    """
    if values.dtype.kind != "f" or dtype.kind != "f":
        return values
    sizes, limits = np.abs(values), np.finfo(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        is_own = np.abs(sizes.astype(np.float64) / float(limits.max) - 1) <= float(limits.eps)
    is_largest = is_own | (sizes == np.finfo(values.dtype).max)
    return np.where(is_largest, np.copysign(np.inf, values), values) if is_largest.any() else values
