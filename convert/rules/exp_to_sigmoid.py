"""n / (1 + Exp(−u)) -> n · Sigmoid(u), the logistic curve and SiLU as textbooks write them.

Exact: it is the definition of Sigmoid; where Exp(−u) overflows, both are 0 for a finite n. A numerator of 1
takes no product. ONNX Runtime keeps Sigmoid in the blocked layout of a convolution, and takes
x · Sigmoid(b · x) as one operator. Declined where the addend, or a constant n, may widen the shape, and where
it sets how steep another curve is, as explained in `sigmoid_to_exp`.
"""

import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.nodes import get_constant, get_producer, has_same_shape, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.graph.steepness import is_steepness


def _rewrite(node: ir.Node) -> Outcome:
    numerator = node.inputs[0]
    logistic = _match_logistic(node.inputs[-1])
    if logistic is None or numerator is None:
        return None
    decay, exponent = logistic
    value, dtype = decay.inputs[0], node.outputs[0].dtype
    if value is None or dtype is None or not has_same_shape(value, node.outputs[0]):
        return Declined("what is added or divided may widen the shape of the exponent")
    if is_steepness(node.outputs[0], exponent or value):
        return Declined("it sets how steep another curve is, and ONNX Runtime's Sigmoid loses its tail")
    edit = Edit(node)
    gate = edit.op("Sigmoid", exponent or edit.op("Neg", value))
    numbers = get_constant(numerator)
    is_one = node.op_type == "Reciprocal" or (numbers is not None and bool((numbers == 1).all()))
    edit.replace(gate if is_one else edit.op("Mul", numerator, gate))
    return FIRED


def _match_logistic(value: ir.Value | None) -> tuple[ir.Node, ir.Value | None] | None:
    """(Exp, u) of 1 + Exp(−u); None for u where nothing negates it."""
    shifted = match_shift(get_producer(value))
    power = match_operator(shifted[0], "Exp") if shifted is not None and (shifted[1] == 1).all() else None
    if power is None or power.inputs[0] is None:
        return None
    scaled = match_scale(get_producer(power.inputs[0]))
    if scaled is None or scaled[1].size != 1 or float(scaled[1].reshape(())) != -1:
        return power, None
    return power, scaled[0]


RULE = Rule("exp_to_sigmoid", ("Div", "Reciprocal"), _rewrite)
