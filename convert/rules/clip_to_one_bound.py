"""Clip(x, none, b) -> Min(x, b), Clip(x, a, none) -> Max(x, a), so that one bound has one name.

Exact: it is the definition. torch's older exporter writes `clamp(max=0)` so, its newer one a Min, which the
rules for ELU and PReLU read. Left where it alone reads a convolution, since ONNX Runtime takes a Clip over
into that. Declined where a bound is not one constant number.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.layout import is_blocked
from convert.graph.nodes import feeds_only, get_constant
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    value, *bounds = node.inputs
    present = [bound for bound in bounds if bound is not None]
    if value is None or value.dtype is None or len(present) != 1:
        return None
    if feeds_only(value, node) and is_blocked(value):
        return None
    number = get_constant(present[0])
    if number is None or number.size != 1:
        return Declined("the bound is not one constant number")
    edit = Edit(node)
    bound = edit.constant(number.reshape(()), value.dtype.numpy(), "bound")
    edit.replace(edit.op("Max" if present[0] is bounds[0] else "Min", value, bound))
    return FIRED


RULE = Rule("clip_to_one_bound", ("Clip",), _rewrite, is_exact=True)
