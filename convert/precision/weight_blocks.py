"""Weights as whole numbers of 8 or 4 bits, in blocks that share a scale."""

from collections.abc import Iterator
from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir

from convert.model_io.array import Array

_BLOCKS = {8: (128, 64, 32, 16), 4: (32, 16)}
"""The weights that may share a scale. In 8 bits, more of them save a quarter of the time, at little loss."""
_TYPE = {8: np.dtype(np.int8), 4: np.dtype(ml_dtypes.int4)}
_SHRINKING = {8: (1.0,), 4: (1.0, 0.94, 0.875, 0.81, 0.75)}
"""The ranges tried, as shares of a block's largest weight: in 4 bits, cutting that off may cost less."""
_CHUNK = 2**22  # weights at a time


@dataclass(frozen=True, slots=True)
class WeightBlocks:
    """Weights as whole numbers [inputs, outputs], and a scale for each block [blocks, outputs]."""

    whole: ir.TensorProtocol
    scale: ir.TensorProtocol
    block: int


def round_blocks(weights: Array, bits: int) -> WeightBlocks:
    """The weights [inputs, outputs] in blocks along their inputs, the last of which may be shorter.

    Zero is zero, and scales are positive, as some runtimes need. In 4 bits each block has the scale, of a
    few, that leaves the least squared error.
    """
    inputs, outputs = weights.shape
    block = _choose_block(inputs, bits)
    count = -(-inputs // block)
    whole, scale = np.empty((inputs, outputs), np.int8), np.empty((count, outputs), np.float32)
    for first, last in _split(count, max(1, _CHUNK // (block * outputs))):
        rows = slice(first * block, min(last * block, inputs))
        part = np.zeros(((last - first) * block, outputs), np.float32)
        part[: rows.stop - rows.start] = weights[rows]
        numbers, scale[first:last] = _round_part(part.reshape(last - first, block, outputs), bits)
        whole[rows] = numbers.reshape(-1, outputs)[: rows.stop - rows.start]
    return WeightBlocks(ir.tensor(whole.astype(_TYPE[bits])), ir.tensor(scale), block)


def _choose_block(inputs: int, bits: int) -> int:
    """The largest block that divides the inputs, as OpenVINO needs; the largest of all where none does."""
    return next((block for block in _BLOCKS[bits] if inputs % block == 0), _BLOCKS[bits][0])


def _split(count: int, step: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + step, count)) for first in range(0, count, step))


def _round_part(part: Array, bits: int) -> tuple[Array, Array]:
    """Whole numbers, as `part` [blocks, block, outputs], and the scales [blocks, outputs]."""
    most = 2 ** (bits - 1) - 1
    largest = np.abs(part).max(axis=1)
    best_error = np.full(largest.shape, np.inf)
    best_scale, best = np.ones(largest.shape, np.float32), np.zeros(part.shape, np.float32)
    for share in _SHRINKING[bits]:
        # A quotient by less may overflow; more, for a block of zeros, would scale up the rounding of sums.
        scale = np.maximum(largest * np.float32(share / most), np.finfo(np.float32).tiny)
        numbers = np.clip(np.rint(part / scale[:, None]), -most - 1, most)
        error = np.square(numbers * scale[:, None] - part, dtype=np.float64).sum(axis=1)
        better = error < best_error
        best_error[better], best_scale[better] = error[better], scale[better]
        np.copyto(best, numbers, where=better[:, None])
    return best, best_scale
