"""A sum of scaled values and a constant, Σ cᵢ · vᵢ + t: read from a tree of additions, and written again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.layout import is_blocked
from convert.graph.nodes import feeds_only, get_constant, get_only_consumer, has_same_shape, is_representable
from convert.model_io.array import Array

ROUNDING = 2.0**-22
_RANDOM = ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout")
ONE, ZERO = np.ones(()), np.zeros(())


@dataclass(frozen=True, slots=True)
class Term:
    """coefficient · value; the coefficient is in float64 and broadcasts to the value as in ONNX."""

    coefficient: Array
    value: ir.Value

    @property
    def is_plain(self) -> bool:
        """True for 1 · value, which needs no product."""
        return bool((self.coefficient == 1).all())


@dataclass(frozen=True, slots=True)
class Blend:
    """Σ of the terms + shift, computed by `node`; every term has the shape of the whole."""

    node: ir.Node
    terms: tuple[Term, ...]
    shift: Array
    shifts: int
    """How many constants of the graph add up to `shift`."""

    def divide(self, factor: Array) -> "Blend":
        """The blend over `factor`, coefficients and shift; a quotient that rounds to 1 is 1."""
        terms = tuple(Term(_round_to_one(term.coefficient / factor), term.value) for term in self.terms)
        return Blend(self.node, terms, self.shift / factor, self.shifts)

    def fits_in(self, dtype: np.dtype[np.generic]) -> bool:
        """True where no coefficient, nor the shift, leaves the range of `dtype`."""
        constants = (*(term.coefficient for term in self.terms), self.shift)
        return all(is_representable(numbers, dtype) for numbers in constants)


def _round_to_one(quotient: Array) -> Array:
    # Both numbers were rounded to float32, so within that rounding the quotient may be 1.
    return np.where(np.abs(quotient - 1) <= ROUNDING, 1.0, quotient)


def match_blend(node: ir.Node) -> Blend | None:
    """The sum that ends at this node; None within a larger sum, and where a shape is not known."""
    if node.op_type not in ("Add", "Sub") or is_in_sum(node):
        return None
    terms: list[Term] = []
    shifts: list[Array] = []
    pending: list[tuple[Array, ir.Value, ir.Node]] = [(ONE, node.outputs[0], node)]
    while pending:
        factor, value, reader = pending.pop()
        source = value.producer()
        is_inside = source is node or feeds_only(value, reader)
        parts = _split(source, shifts, factor) if source is not None and is_inside else None
        if source is None or parts is None:
            terms.append(Term(factor, value))
        else:
            pending += [(factor * own, part, source) for own, part in reversed(parts)]
    return _build_blend(node, terms, shifts)


def _build_blend(node: ir.Node, terms: Sequence[Term], shifts: Sequence[Array]) -> Blend | None:
    shape = node.outputs[0].shape
    dtype = node.outputs[0].dtype
    if not terms or shape is None or dtype is None or not dtype.is_floating_point():
        return None
    if not all(has_same_shape(term.value, node.outputs[0]) for term in terms):
        return None
    if any(term.coefficient.ndim > len(shape) for term in terms):
        return None
    shift: Array = sum(shifts, ZERO)
    return Blend(node, tuple(terms), shift, len(shifts)) if shift.ndim <= len(shape) else None


def _split(node: ir.Node, shifts: list[Array], factor: Array) -> list[tuple[Array, ir.Value]] | None:
    """The values that this node adds or scales, with their factors; a constant goes to `shifts`."""
    scaled, shifted = match_scale(node), match_shift(node)
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
    minuend, sign = get_constant(first), ONE if node.op_type == "Add" else -ONE
    if minuend is None:
        return [(ONE, first), (sign, second)]
    shifts.append(minuend.astype(np.float64) * factor)
    return [(sign, second)]


def is_in_sum(node: ir.Node) -> bool:
    """True where only a sum reads the node's output, scaled or not."""
    return _find_enclosing_sum(node) is not None


def find_enclosing_blend(node: ir.Node) -> Blend | None:
    """The whole sum of which the node's output is a term, scaled or not; None where there is none."""
    last = _find_enclosing_sum(node)
    while last is not None and (larger := _find_enclosing_sum(last)) is not None:
        last = larger
    return match_blend(last) if last is not None else None


def _find_enclosing_sum(node: ir.Node) -> ir.Node | None:
    """The addition that alone reads the node's output, scaled or not."""
    value = node.outputs[0]
    while True:
        reader = get_only_consumer(value)
        if reader is None or reader.domain:
            return None
        if reader.op_type in ("Add", "Sub"):
            return reader
        if match_scale(reader) is None:
            return None
        value = reader.outputs[0]


def write_blend(blend: Blend, edit: Edit) -> ir.Value:
    """The blend as new nodes. The shift comes last, or with a term of a convolution, as one affine step."""
    dtype = blend.node.outputs[0].dtype
    if dtype is None:
        raise ValueError(f"the type of `{blend.node.outputs[0].name}` is not known")
    shifted = next((place for place, term in enumerate(blend.terms) if is_blocked(term.value)), None)
    total: ir.Value | None = None
    for place, term in enumerate(blend.terms):
        value = term.value
        if not term.is_plain:
            value = edit.op("Mul", value, edit.constant(term.coefficient, dtype.numpy(), "scale"))
        if place == shifted and blend.shift.any():
            value = edit.op("Add", value, edit.constant(blend.shift, dtype.numpy(), "shift"))
        total = value if total is None else edit.op("Add", total, value)
    if total is None:
        raise ValueError("a blend of no terms")
    if shifted is None and blend.shift.any():
        total = edit.op("Add", total, edit.constant(blend.shift, dtype.numpy(), "shift"))
    return total


def is_same_value(left: ir.Value, right: ir.Value) -> bool:
    """True where two values are one, or the same operators compute them of the same inputs and constants."""
    pending, budget = [(left, right)], 32
    while pending:
        first, second = pending.pop()
        if first is second:
            continue
        budget -= 1
        if budget == 0 or not _is_same_operation(first, second):
            return False
        nodes = first.producer(), second.producer()
        if nodes[0] is not None and nodes[1] is not None:
            pairs = zip(nodes[0].inputs, nodes[1].inputs, strict=True)
            pending += [(a, b) for a, b in pairs if a is not None and b is not None]
    return True


def _is_same_operation(left: ir.Value, right: ir.Value) -> bool:
    """True where both are equal constants, or outputs of the same operator, whatever it reads."""
    left_array, right_array = get_constant(left), get_constant(right)
    if left_array is not None and right_array is not None:
        return left_array.dtype == right_array.dtype and np.array_equal(left_array, right_array)
    first, second = left.producer(), right.producer()
    if first is None or second is None or len(first.outputs) != 1 or len(second.outputs) != 1:
        return False
    settings = ({k: v.value for k, v in n.attributes.items()} for n in (first, second))
    return (
        first.op_identifier() == second.op_identifier()
        and first.op_type not in _RANDOM
        and [value is None for value in first.inputs] == [value is None for value in second.inputs]
        and next(settings) == next(settings)
    )
