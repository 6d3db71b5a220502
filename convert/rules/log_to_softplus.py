"""Log(1 + Exp(x)) -> Softplus(x).

Exact where both are finite; for x above 88 the textbook form overflows and Softplus does not. The rules for
Softplus and Mish then take it further. Log(1 + Exp(−|u|)), which cannot overflow, is what they end at and is
left. Declined where x + 1 may widen the shape.
"""

import onnx_ir as ir

from convert.rewriting.affine import scale_of, shift_of
from convert.rewriting.graph import Edit
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    total = node.inputs[0].producer() if node.inputs[0] is not None else None
    found = shift_of(total) if total is not None else None
    if found is None or (found[1] != 1).any():
        return None
    power = found[0].producer()
    if power is None or power.op_type != "Exp" or power.inputs[0] is None:
        return None
    if _never_positive(power.inputs[0]):
        return None
    if power.outputs[0].shape is None or power.outputs[0].shape != node.outputs[0].shape:
        return Declined("the addend may widen the shape of what it meets")
    edit = Edit(node)
    edit.replace(edit.op("Softplus", power.inputs[0]))
    return FIRED


def _never_positive(value: ir.Value) -> bool:
    """True for −|u|."""
    node = value.producer()
    found = scale_of(node) if node is not None else None
    magnitude = found[0].producer() if found is not None and (found[1] <= 0).all() else None
    return magnitude is not None and magnitude.op_type == "Abs"


RULE = Rule("log_to_softplus", ("Log",), _rewrite)
