"""Where(x > 0, p · x, a · (Exp(b · x) − 1)), or p · Relu(x) + a · (Exp(b · Min(x, 0)) − 1)
-> (p / b) · Elu<a · b / p>(b · x), which is PELU, MPELU, CELU and SELU as textbooks write them.

Exact up to rounding: for x < 0 it is (p / b) · (a · b / p) · (exp(b · x) − 1), for x >= 0 (p / b) · b · x.
A ratio a · b / p within 4e-7 of 1 is 1, as it is where p was worked out from a and b in float32. The scales
then go into the layers on either side. Declined where p is 0, b is not above 0, or the ratio differs between
channels.
"""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.nodes import (
    get_producer,
    get_scalar,
    is_representable,
    list_operand_orders,
    match_argument,
    match_operator,
)
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array
from convert.rules.elu_to_exp import fuses_into_gemm
from convert.rules.where_to_prelu import match_branches

ROUNDING = 4e-7


@dataclass(frozen=True, slots=True)
class _Decay:
    """depth · (Exp(steepness · x) − 1)."""

    value: ir.Value
    depth: Array
    steepness: Array


def _rewrite(node: ir.Node) -> Outcome:
    sides = _match_where(node) if node.op_type == "Where" else _match_sum(node)
    if sides is None:
        return None
    slope, decay = sides
    dtype = decay.value.dtype
    if dtype is None or not slope.all() or not (decay.steepness > 0).all():
        return Declined("the slope is 0, or the steepness not above 0, in a channel")
    ratio = (decay.depth * decay.steepness / slope).reshape(-1)
    if (np.abs(ratio - ratio[0]) > ROUNDING * np.abs(ratio[0])).any():
        return Declined("the depth differs between channels in another way than the slope")
    outer = slope / decay.steepness
    is_plain = bool((outer == 1).all() and (decay.steepness == 1).all())
    if node.op_type == "Add" and is_plain and not fuses_into_gemm(decay.value):
        return None  # `elu_to_exp` would write an Elu in this very form
    if not (is_representable(outer, dtype.numpy()) and is_representable(decay.steepness, dtype.numpy())):
        return Declined(f"a scale leaves the range of {dtype}")
    alpha = 1.0 if abs(ratio[0] - 1) <= ROUNDING else float(ratio[0])
    edit = Edit(node)
    value = decay.value
    if (decay.steepness != 1).any():
        value = edit.op("Mul", value, edit.constant(decay.steepness, dtype.numpy(), "steepness"))
    curve = edit.op("Elu", value, alpha=alpha)
    if (outer != 1).any():
        curve = edit.op("Mul", curve, edit.constant(outer, dtype.numpy(), "scale"))
    edit.replace(curve)
    return FIRED


def _match_where(node: ir.Node) -> tuple[Array, _Decay] | None:
    """(p, the left side) of Where."""
    branches = match_branches(node)
    if branches is None:
        return None
    value, right, left = branches
    decay, line = _match_decay(left), _split_scale(right)
    if decay is None or line is None or line[1] is not value or decay.value is not value:
        return None
    return line[0], decay


def _match_sum(node: ir.Node) -> tuple[Array, _Decay] | None:
    """(p, the left side) of a sum."""
    for right, left in list_operand_orders(node):
        line, decay = _split_scale(right), _match_decay(left)
        negative = _match_negative_part(decay.steepness, decay.value) if decay is not None else None
        if line is None or decay is None or negative is None:
            continue
        steepness, value = negative
        if match_argument(line[1], "Relu") is value:
            return line[0], _Decay(value, decay.depth, steepness)
    return None


def _match_decay(value: ir.Value | None) -> _Decay | None:
    """The terms of depth · (Exp(steepness · u) − 1), scaled inside or outside of the bracket."""
    outer = _split_scale(value)
    shifted = match_shift(get_producer(outer[1])) if outer is not None else None
    inner = _split_scale(shifted[0]) if shifted is not None else None
    exponent = _split_scale(match_argument(inner[1], "Exp")) if inner is not None else None
    if outer is None or shifted is None or inner is None or exponent is None or np.any(shifted[1] + inner[0]):
        return None
    return _Decay(exponent[1], outer[0] * inner[0], exponent[0])


def _match_negative_part(factor: Array, value: ir.Value) -> tuple[Array, ir.Value] | None:
    """(b, x) of b · Min(x, 0), which is also −b · Relu(−x)."""
    mirrored = _split_scale(match_argument(value, "Relu"))
    if mirrored is not None:
        is_mirrored = mirrored[0].size == 1 and (mirrored[0] == -1).all()
        return (-factor, mirrored[1]) if is_mirrored else None
    minimum = match_operator(value, "Min")
    for x, bound in list_operand_orders(minimum) if minimum is not None else ():
        if x is not None and get_scalar(bound, beside=x) == 0:
            return factor, x
    return None


def _split_scale(value: ir.Value | None) -> tuple[Array, ir.Value] | None:
    """(the factor, the value) of a scaled value; a factor of 1 where nothing scales it."""
    if value is None:
        return None
    scaled = match_scale(value.producer())
    return (scaled[1], scaled[0]) if scaled is not None else (np.ones(()), value)


RULE = Rule("exp_to_elu", ("Where", "Add"), _rewrite)
