"""Log(1 + Exp(x)) -> Softplus(x), also Log(Exp(0) + Exp(x)), as `logaddexp(x, zeros_like(x))` is exported.

Exact where both are finite; for x above 88 the textbook form overflows and Softplus does not. The rules for
Softplus and Mish then take it further. Log(1 + Exp(−|u|)), which cannot overflow, is what they end at and is
left.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.nodes import get_producer, has_same_shape, match_argument, match_operator
from convert.graph.rule import FIRED, Outcome, Rule
from convert.rules.filled_to_scalar import match_filled


def _rewrite(node: ir.Node) -> Outcome:
    total = get_producer(node.inputs[0])
    value = _match_one_plus_exp(total) if total is not None else None
    if value is None or _is_never_positive(value):
        return None
    edit = Edit(node)
    edit.replace(edit.op("Softplus", value))
    return FIRED


def _match_one_plus_exp(total: ir.Node) -> ir.Value | None:
    """x of Exp(x) + 1, where the 1 may be Exp(0)."""
    shifted = match_shift(total)
    if shifted is not None:
        return match_argument(shifted[0], "Exp") if (shifted[1] == 1).all() else None
    if total.op_type != "Add" or total.domain:
        return None
    first, second = (match_argument(value, "Exp") for value in total.inputs)
    for value, other in ((first, second), (second, first)):
        filled = match_filled(other)
        if value is not None and filled is not None:
            number, sizes = filled
            if number == 0 and has_same_shape(sizes, value):
                return value
    return None


def _is_never_positive(value: ir.Value) -> bool:
    """True for −|u|."""
    scaled = match_scale(value.producer())
    if scaled is None or (scaled[1] > 0).any():
        return False
    return match_operator(scaled[0], "Abs") is not None


RULE = Rule("log_to_softplus", ("Log",), _rewrite)
