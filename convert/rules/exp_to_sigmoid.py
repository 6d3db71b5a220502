"""n / (1 + Exp(−u)) -> n · Sigmoid(u), the logistic curve and SiLU as textbooks write them.

Exact: it is the definition of Sigmoid; where Exp(−u) overflows, both are 0 for a finite n. A numerator of 1
takes no product. ONNX Runtime keeps Sigmoid in the blocked layout of a convolution, and takes
x · Sigmoid(b · x) as one operator. Declined where the addend, or a constant n, may widen the shape, and where
it sets how steep another curve is, which `sigmoid_to_exp` tells more of.
"""

import onnx_ir as ir

from convert.graph.affine import scale_of, shift_of
from convert.graph.nodes import Edit, constant, same_shape
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.graph.steepness import is_steepness


def _rewrite(node: ir.Node) -> Outcome:
    numerator = node.inputs[0]
    found = _logistic(node.inputs[-1])
    if found is None or numerator is None:
        return None
    decay, exponent = found
    value, dtype = decay.inputs[0], node.outputs[0].dtype
    if value is None or dtype is None or not same_shape(value, node.outputs[0]):
        return Declined("what is added or divided may widen the shape of the exponent")
    if is_steepness(node.outputs[0], exponent or value):
        return Declined("it sets how steep another curve is, and ONNX Runtime's Sigmoid loses its tail")
    edit = Edit(node)
    gate = edit.op("Sigmoid", exponent or edit.op("Neg", value))
    numbers = constant(numerator)
    plain = node.op_type == "Reciprocal" or (numbers is not None and bool((numbers == 1).all()))
    edit.replace(gate if plain else edit.op("Mul", numerator, gate))
    return FIRED


def _logistic(value: ir.Value | None) -> tuple[ir.Node, ir.Value | None] | None:
    """(Exp, u) of 1 + Exp(−u); None for u where nothing negates it."""
    total = value.producer() if value is not None else None
    shifted = shift_of(total) if total is not None else None
    power = shifted[0].producer() if shifted is not None and (shifted[1] == 1).all() else None
    if power is None or power.op_type != "Exp" or power.domain or power.inputs[0] is None:
        return None
    source = power.inputs[0].producer()
    scaled = scale_of(source) if source is not None else None
    if scaled is None or scaled[1].size != 1 or float(scaled[1].reshape(())) != -1:
        return power, None
    return power, scaled[0]


RULE = Rule("exp_to_sigmoid", ("Div", "Reciprocal"), _rewrite)
