"""Any piecewise linear function of x with Max, Min, Abs or Clip in it, as SReLU, PLU, SoftThreshold and MeLU
-> s · x + c + Σ wᵢ · Relu(x − tᵢ) + Σ vⱼ · Relu(tⱼ − x), for an image between convolutions.

Exact up to rounding: knots and slopes are worked out in float64, in each channel, and rounded once; far out
no slope is a small difference of large ones, and one of 0 is no difference at all. ONNX Runtime computes it
in the blocked layout of a convolution, a hinge in one pass, and leaves that for Max, Min, Abs and Clip:
SReLU per channel 1.22 -> 1.06 of a ReLU network's time, PTELU's Min 1.15 -> 1.08, MeLU 1.32 -> 1.14,
SoftThreshold per channel 1.11 -> 1.06. Declined where it takes no fewer passes, and where digits would
cancel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, Term, write_blend
from convert.graph.edit import Edit
from convert.graph.layout import is_between_blocked
from convert.graph.linear import NotExactError
from convert.graph.nodes import get_only_consumer
from convert.graph.piecewise import Channels, Piecewise, Region, find_region, read_channels
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

# Far out, the sum of what is added up, over what comes of it on this side and on the steeper one.
LARGEST_RATIO, LARGEST_GROWTH = 64.0, 8.0
_LEAVING = ("Max", "Min", "Abs", "Clip")


@dataclass(frozen=True, slots=True)
class _Hinges:
    """slope · x + offset, and (knots, weights) of the hinges on either side; arrays of [channels]."""

    slope: Array
    offset: Array
    right: tuple[tuple[Array, Array], ...]
    left: tuple[tuple[Array, Array], ...]

    @property
    def passes(self) -> int:
        """How often ONNX Runtime goes over the image: each hinge, each sum, and a line that is not x."""
        hinges = (*self.right, *self.left)
        if self.slope.any():
            return 2 * len(hinges) + (not (self.slope == 1).all())
        has_plain = any((weights == 1).all() for _, weights in hinges)  # the first of the sum is not added
        return 2 * len(hinges) - has_plain

    def is_stable(self) -> bool:
        """True where no slope far out is much smaller than the slopes that add up to it."""
        sides = [
            np.stack([self.slope, *(sign * weight for _, weight in hinges)])
            for hinges, sign in ((self.right, 1), (self.left, -1))
        ]
        slopes = [np.abs(weights.sum(axis=0)) for weights in sides]
        for weights, slope in zip(sides, slopes, strict=True):
            size = np.abs(weights).sum(axis=0)
            near = (size <= LARGEST_RATIO * slope) & (size <= LARGEST_GROWTH * np.maximum(*slopes))
            if not (near | ((weights != 0).sum(axis=0) <= 1)).all():
                return False
        return True


def _rewrite(node: ir.Node) -> Outcome:
    region = _find_whole_region(node)
    if region is None or not is_between_blocked(node, region.variable):
        return None
    value = region.variable
    try:
        functions = read_channels(region)
    except NotExactError as reason:
        return Declined(str(reason))
    stable = [hinges for hinges in _list_hinges(functions) if hinges.is_stable()]
    if not stable:
        return Declined("far out, a slope would be the small difference of large ones")
    best = min(stable, key=lambda hinges: hinges.passes)
    if best.passes >= _count_passes(region):
        return Declined(f"{best.passes} passes for {len(region.nodes)} operators")
    return _replace(node, value, best)


def _find_whole_region(node: ir.Node) -> Region | None:
    """The whole function that ends at this node, where it leaves the layout."""
    region = find_region(node)
    if region is None or not any(inner.op_type in _LEAVING for inner in region.nodes):
        return None
    reader = get_only_consumer(node.outputs[0])
    larger = find_region(reader) if reader is not None and not reader.domain else None
    return None if larger is not None and larger.variable is region.variable else region


def _count_passes(region: Region) -> int:
    """The region's operators, twice those that never become part of a convolution."""
    return len(region.nodes) + sum(node.op_type in ("Max", "Min", "Abs") for node in region.nodes)


def _list_hinges(functions: Channels) -> list[_Hinges]:
    """The function written from each of its lines; where channels bend differently often, from the first."""
    most = max(len(f.knots) for f in functions)
    whole = [_pad_knots(f, most) for f in functions]
    slopes, offsets, knots = (
        np.array([getattr(f, part) for f in whole]).T for part in ("slopes", "offsets", "knots")
    )
    jumps = np.diff(slopes, axis=0)
    alike = all(len(f.knots) == most for f in functions)
    return [
        _Hinges(
            slopes[line],
            offsets[line],
            tuple(zip(knots[line:], jumps[line:], strict=True)),
            tuple(zip(knots[:line], jumps[:line], strict=True)),
        )
        for line in (range(most + 1) if alike else (0,))
    ]


def _pad_knots(f: Piecewise, most: int) -> Piecewise:
    """The function with knots beyond its last one at which it does not bend."""
    more = most - len(f.knots)
    last = f.knots[-1] if len(f.knots) else 0.0
    return f.insert_knots(np.concatenate([f.knots, last + np.arange(1, more + 1)])) if more else f


def _replace(node: ir.Node, value: ir.Value, hinges: _Hinges) -> Outcome:
    assert value.dtype is not None
    dtype = value.dtype.numpy()
    edit = Edit(node)

    def column(numbers: Array) -> Array:
        return numbers[0].reshape(()) if (numbers == numbers[0]).all() else numbers.reshape(-1, 1, 1)

    terms = [Term(column(hinges.slope), value)] if hinges.slope.any() else []
    for knots, weights in hinges.right:
        inner = edit.op("Sub", value, edit.constant(column(knots), dtype, "knot")) if knots.any() else value
        terms.append(Term(column(weights), edit.op("Relu", inner)))
    for knots, weights in hinges.left:
        inner = edit.op("Sub", edit.constant(column(knots), dtype, "knot"), value)
        terms.append(Term(column(weights), edit.op("Relu", inner)))
    blend = Blend(node, tuple(terms), column(hinges.offset), 1)
    bends = [numbers for numbers, _ in (*hinges.right, *hinges.left)]
    if not terms or not _is_representable(blend, bends, dtype):
        return Declined(f"a knot, slope or offset leaves the range of {dtype}")
    edit.replace(write_blend(blend, edit))
    return FIRED


def _is_representable(blend: Blend, knots: Sequence[Array], dtype: np.dtype[np.generic]) -> bool:
    limits = np.finfo(dtype)  # type: ignore[type-var]
    return blend.fits_in(dtype) and all(bool((np.abs(numbers) <= limits.max).all()) for numbers in knots)


RULE = Rule("piecewise_to_hinges", ("Add", "Sub", "Mul", "Max", "Min", "Clip", "Relu", "Abs"), _rewrite)
