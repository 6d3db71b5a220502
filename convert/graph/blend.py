"""A sum of scaled values and a constant, Σ cᵢ · vᵢ + t, read from a tree of additions and written again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import scale_of, shift_of
from convert.graph.layout import blocked
from convert.graph.nodes import Array, Edit, constant, only_consumer, only_feeds, representable, same_shape

ROUNDING = 2.0**-22
ONE, NOTHING = np.ones(()), np.zeros(())


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · value; the coefficient is in float64 and meets the value as ONNX broadcasts it."""

    coefficient: Array
    value: ir.Value

    @property
    def plain(self) -> bool:
        """True for 1 · value, which takes no product."""
        return bool((self.coefficient == 1).all())


@dataclass(frozen=True, slots=True)
class Blend:
    """Σ of the terms + shift, computed by `node`; every term has the shape of the whole."""

    node: ir.Node
    terms: tuple[Term, ...]
    shift: Array
    shifts: int
    """How many constants were added up to `shift`."""

    def divided(self, factor: Array) -> "Blend":
        """The blend with every coefficient and the shift over `factor`; a quotient that rounds to 1 is 1."""
        terms = tuple(Term(_rounded(term.coefficient / factor), term.value) for term in self.terms)
        return Blend(self.node, terms, self.shift / factor, self.shifts)

    def held_in(self, dtype: np.dtype[np.generic]) -> bool:
        """True where no coefficient, nor the shift, leaves the range of `dtype`."""
        return all(
            representable(numbers, dtype) for numbers in (*(t.coefficient for t in self.terms), self.shift)
        )


def _rounded(quotient: Array) -> Array:
    # Each of the two numbers was rounded to float32, so such a quotient is 1 as far as anyone knows.
    return np.where(np.abs(quotient - 1) <= ROUNDING, 1.0, quotient)


def blend_of(node: ir.Node) -> Blend | None:
    """The sum that ends at this node; None inside of a larger one, and where a shape is not known."""
    if node.op_type not in ("Add", "Sub") or in_sum(node):
        return None
    terms: list[Term] = []
    shifts: list[Array] = []
    pending: list[tuple[Array, ir.Value, ir.Node]] = [(ONE, node.outputs[0], node)]
    while pending:
        factor, value, reader = pending.pop()
        source = value.producer()
        parts = None
        if source is not None and (source is node or only_feeds(value, reader)):
            parts = _parts(source, shifts, factor)
        if parts is None:
            terms.append(Term(factor, value))
        elif source is not None:
            pending += [(factor * own, part, source) for own, part in reversed(parts)]
    return _complete(node, terms, shifts)


def _complete(node: ir.Node, terms: Sequence[Term], shifts: Sequence[Array]) -> Blend | None:
    shape = node.outputs[0].shape
    dtype = node.outputs[0].dtype
    if not terms or shape is None or dtype is None or not dtype.is_floating_point():
        return None
    if not all(same_shape(term.value, node.outputs[0]) for term in terms):
        return None
    if any(term.coefficient.ndim > len(shape) for term in terms):
        return None
    shift: Array = sum(shifts, NOTHING)
    return Blend(node, tuple(terms), shift, len(shifts)) if shift.ndim <= len(shape) else None


def _parts(node: ir.Node, shifts: list[Array], factor: Array) -> list[tuple[Array, ir.Value]] | None:
    """What this node adds up or scales, each with its factor; a constant goes to `shifts`."""
    scaled, shifted = scale_of(node), shift_of(node)
    if scaled is not None:
        return [(scaled[1], scaled[0])]
    if shifted is not None:
        shifts.append(shifted[1] * factor)
        return [(ONE, shifted[0])]
    if node.domain or node.op_type not in ("Add", "Sub") or len(node.inputs) != 2:
        return None
    first, second = node.inputs
    if first is None or second is None:
        return None
    minuend, sign = constant(first), ONE if node.op_type == "Add" else -ONE
    if minuend is None:
        return [(ONE, first), (sign, second)]
    shifts.append(minuend.astype(np.float64) * factor)
    return [(sign, second)]


def in_sum(node: ir.Node) -> bool:
    """True where a sum reads what the node computes, scaled or not, and nothing else does."""
    return _sum_over(node) is not None


def sum_around(node: ir.Node) -> Blend | None:
    """The whole sum that what the node computes is a term of, scaled or not; None where it is none."""
    last = _sum_over(node)
    while last is not None and (larger := _sum_over(last)) is not None:
        last = larger
    return blend_of(last) if last is not None else None


def _sum_over(node: ir.Node) -> ir.Node | None:
    """The addition that alone reads what the node computes, scaled or not."""
    value = node.outputs[0]
    while True:
        reader = only_consumer(value)
        if reader is None or reader.domain:
            return None
        if reader.op_type in ("Add", "Sub"):
            return reader
        if scale_of(reader) is None:
            return None
        value = reader.outputs[0]


def written(blend: Blend, edit: Edit) -> ir.Value:
    """The blend as new nodes: the shift last, but beside a convolution with a term, as one affine step."""
    dtype = blend.node.outputs[0].dtype
    if dtype is None:
        raise ValueError(f"the type of `{blend.node.outputs[0].name}` is not known")
    kept = next((place for place, term in enumerate(blend.terms) if blocked(term.value)), None)
    total: ir.Value | None = None
    for place, term in enumerate(blend.terms):
        value = term.value
        if not term.plain:
            value = edit.op("Mul", value, edit.constant(term.coefficient, dtype.numpy(), "scale"))
        if place == kept and blend.shift.any():
            value = edit.op("Add", value, edit.constant(blend.shift, dtype.numpy(), "shift"))
        total = value if total is None else edit.op("Add", total, value)
    if total is None:
        raise ValueError("a blend of no terms")
    if kept is None and blend.shift.any():
        total = edit.op("Add", total, edit.constant(blend.shift, dtype.numpy(), "shift"))
    return total


def same(left: ir.Value, right: ir.Value) -> bool:
    """True where two values are one, or computed by the same operators of the same inputs and constants."""
    pending, budget = [(left, right)], 32
    while pending:
        one, other = pending.pop()
        if one is other:
            continue
        budget -= 1
        if budget == 0 or not _alike(one, other):
            return False
        first, second = one.producer(), other.producer()
        if first is not None and second is not None:
            pending += [
                (a, b)
                for a, b in zip(first.inputs, second.inputs, strict=True)
                if a is not None and b is not None
            ]
    return True


def _alike(one: ir.Value, other: ir.Value) -> bool:
    """True where the two are equal constants, or outputs of the same operator, whatever it reads."""
    array, second_array = constant(one), constant(other)
    if array is not None and second_array is not None:
        return array.dtype == second_array.dtype and np.array_equal(array, second_array)
    first, second = one.producer(), other.producer()
    if first is None or second is None or len(first.outputs) != 1 or len(second.outputs) != 1:
        return False
    settings = ({k: v.value for k, v in n.attributes.items()} for n in (first, second))
    return (
        first.op_identifier() == second.op_identifier()
        and first.op_type not in _RANDOM
        and [each is None for each in first.inputs] == [each is None for each in second.inputs]
        and next(settings) == next(settings)
    )


_RANDOM = ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout")
