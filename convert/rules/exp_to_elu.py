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

from convert.graph.affine import scale_of, shift_of
from convert.graph.nodes import Array, Edit, representable, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.rules.elu_to_exp import fuses
from convert.rules.where_to_prelu import SIDES

ROUNDING = 4e-7


@dataclass(frozen=True, slots=True)
class _Decay:
    """depth · (Exp(steepness · x) − 1)."""

    value: ir.Value
    depth: Array
    steepness: Array


def _rewrite(node: ir.Node) -> Outcome:
    found = _chosen(node) if node.op_type == "Where" else _added(node)
    if found is None:
        return None
    slope, decay = found
    dtype = decay.value.dtype
    if dtype is None or not slope.all() or not (decay.steepness > 0).all():
        return Declined("the slope is 0, or the steepness not above 0, in a channel")
    ratio = (decay.depth * decay.steepness / slope).reshape(-1)
    if (np.abs(ratio - ratio[0]) > ROUNDING * np.abs(ratio[0])).any():
        return Declined("the depth differs between channels in another way than the slope")
    outer = slope / decay.steepness
    if (
        node.op_type == "Add"
        and (outer == 1).all()
        and (decay.steepness == 1).all()
        and not fuses(decay.value)
    ):
        return None  # an Elu that does not stay ends in this very form
    if not (representable(outer, dtype.numpy()) and representable(decay.steepness, dtype.numpy())):
        return Declined(f"a scale leaves the range of {dtype}")
    alpha = 1.0 if abs(ratio[0] - 1) <= ROUNDING else float(ratio[0])
    edit = Edit(node)
    value = decay.value
    if (decay.steepness != 1).any():
        value = edit.op("Mul", value, edit.constant(decay.steepness, dtype.numpy(), "steepness"))
    bent = edit.op("Elu", value, alpha=alpha)
    if (outer != 1).any():
        bent = edit.op("Mul", bent, edit.constant(outer, dtype.numpy(), "scale"))
    edit.replace(bent)
    return FIRED


def _chosen(node: ir.Node) -> tuple[Array, _Decay] | None:
    """(p, the left side) of Where."""
    test = node.inputs[0].producer() if node.inputs[0] is not None else None
    if test is None or test.op_type not in SIDES or scalar(test.inputs[1], beside=test.inputs[0]) != 0:
        return None
    right, left = (node.inputs[position] for position in SIDES[test.op_type])
    decay = _decay(left, bounded=False)
    line = _peeled(right)
    if decay is None or line is None or line[1] is not decay.value or test.inputs[0] is not decay.value:
        return None
    return line[0], decay


def _added(node: ir.Node) -> tuple[Array, _Decay] | None:
    """(p, the left side) of a sum."""
    for right, left in (node.inputs, tuple(reversed(node.inputs))):
        line, decay = _peeled(right), _decay(left, bounded=True)
        relu = line[1].producer() if line is not None else None
        if line is None or relu is None or decay is None or relu.op_type != "Relu":
            continue
        if relu.inputs[0] is decay.value:
            return line[0], decay
    return None


def _decay(value: ir.Value | None, bounded: bool) -> _Decay | None:
    outer = _peeled(value)
    lowered = outer[1].producer() if outer is not None else None
    shifted = shift_of(lowered) if lowered is not None else None
    inner = _peeled(shifted[0]) if shifted is not None else None
    power = inner[1].producer() if inner is not None else None
    if outer is None or shifted is None or inner is None or power is None or power.op_type != "Exp":
        return None
    exponent = _peeled(power.inputs[0])
    if exponent is None or np.any(shifted[1] + inner[0]):
        return None
    found = _bounded(*exponent) if bounded else exponent
    return _Decay(found[1], outer[0] * inner[0], found[0]) if found is not None else None


def _bounded(factor: Array, value: ir.Value) -> tuple[Array, ir.Value] | None:
    """(b, x) of b · Min(x, 0), which is also −b · Relu(−x)."""
    node = value.producer()
    if node is not None and node.op_type == "Relu":
        mirrored = _peeled(node.inputs[0])
        turned = mirrored is not None and mirrored[0].size == 1 and (mirrored[0] == -1).all()
        return (-factor, mirrored[1]) if mirrored is not None and turned else None
    if node is None or node.op_type != "Min" or len(node.inputs) != 2:
        return None
    sides = (node.inputs, tuple(reversed(node.inputs)))
    return next(((factor, x) for x, bound in sides if x is not None and scalar(bound, beside=x) == 0), None)


def _peeled(value: ir.Value | None) -> tuple[Array, ir.Value] | None:
    """(the factor, the value) of a scaled value; a factor of 1 where nothing scales it."""
    if value is None:
        return None
    node = value.producer()
    found = scale_of(node) if node is not None else None
    return (found[1], found[0]) if found is not None else (np.ones(()), value)


RULE = Rule("exp_to_elu", ("Where", "Add"), _rewrite)
