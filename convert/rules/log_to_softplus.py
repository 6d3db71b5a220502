"""Log(1 + Exp(x)) -> Softplus(x), also Log(Exp(0) + Exp(x)), as `logaddexp(x, zeros_like(x))` is exported.

Exact where both are finite; for x above 88 the textbook form overflows and Softplus does not. The rules for
Softplus and Mish then take it further. Log(1 + Exp(−|u|)), which cannot overflow, is what they end at and is
left.
"""

import onnx_ir as ir

from convert.graph.affine import scale_of, shift_of
from convert.graph.nodes import Edit, same_shape
from convert.graph.rule import FIRED, Outcome, Rule
from convert.rules.filled_to_scalar import filled


def _rewrite(node: ir.Node) -> Outcome:
    total = node.inputs[0].producer() if node.inputs[0] is not None else None
    value = _beside_one(total) if total is not None else None
    if value is None or _never_positive(value):
        return None
    edit = Edit(node)
    edit.replace(edit.op("Softplus", value))
    return FIRED


def _beside_one(total: ir.Node) -> ir.Value | None:
    """x of Exp(x) + 1, where the 1 may be Exp(0)."""
    shifted = shift_of(total)
    if shifted is not None:
        return _exponent(shifted[0]) if (shifted[1] == 1).all() else None
    if total.op_type != "Add" or total.domain:
        return None
    one, two = (_exponent(value) for value in total.inputs)
    for value, other in ((one, two), (two, one)):
        repeated = filled(other)
        if value is not None and repeated is not None and repeated[0] == 0 and same_shape(repeated[1], value):
            return value
    return None


def _exponent(value: ir.Value | None) -> ir.Value | None:
    """x of Exp(x)."""
    power = value.producer() if value is not None else None
    return power.inputs[0] if power is not None and power.op_type == "Exp" and not power.domain else None


def _never_positive(value: ir.Value) -> bool:
    """True for −|u|."""
    node = value.producer()
    found = scale_of(node) if node is not None else None
    magnitude = found[0].producer() if found is not None and (found[1] <= 0).all() else None
    return magnitude is not None and magnitude.op_type == "Abs"


RULE = Rule("log_to_softplus", ("Log",), _rewrite)
