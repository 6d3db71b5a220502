"""Relu(x) + a · Min(x, 0) -> PRelu(x, a), and the same with Clip(x, max=0).

Exact: one of the two terms is always 0. The rules for PRelu then take it further.
Declined where a is not constant.
"""

import onnx_ir as ir

from convert.graph import Edit, constant, scalar
from convert.rewriting import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    for relu, product in (node.inputs, tuple(reversed(node.inputs))):
        value = _source(relu, "Relu")
        factors = _factors(product)
        if value is None or factors is None or _negative_part(factors[0]) is not value:
            continue
        array = constant(factors[1])
        if array is None:
            return Declined("the slope is not constant")
        edit = Edit(node)
        edit.replace(edit.op("PRelu", value, edit.constant(array, array.dtype, "slope")))
        return FIRED
    return None


def _source(value: ir.Value | None, operator: str) -> ir.Value | None:
    node = value.producer() if value is not None else None
    return node.inputs[0] if node is not None and node.op_type == operator else None


def _factors(value: ir.Value | None) -> tuple[ir.Value, ir.Value] | None:
    """(the negative part, the slope) of their product, in whichever order it is written."""
    node = value.producer() if value is not None else None
    if node is None or node.op_type != "Mul":
        return None
    first, second = node.inputs
    if first is None or second is None:
        return None
    return (first, second) if _negative_part(first) is not None else (second, first)


def _negative_part(value: ir.Value) -> ir.Value | None:
    """x of Min(x, 0) or of Clip(x, none, 0)."""
    node = value.producer()
    if node is None or node.op_type not in ("Min", "Clip"):
        return None
    if node.op_type == "Clip":
        unbounded = len(node.inputs) == 3 and node.inputs[1] is None
        return node.inputs[0] if unbounded and scalar(node.inputs[2]) == 0 else None
    if len(node.inputs) != 2:
        return None
    return next((x for x, bound in (node.inputs, tuple(reversed(node.inputs))) if scalar(bound) == 0), None)


RULE = Rule("relu_min_to_prelu", ("Add",), _rewrite)
