"""Max(x, Expand(c, Shape(x))) -> Max(x, c) for one number c; also ConstantOfShape, and any operator of two.

Exact: the operator itself repeats one number over the shape of the other side. `zeros_like(x)` is exported
so, and fills an image on every call. Declined where the other side is not known to have that shape.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.edit import Edit, remove_node
from convert.graph.nodes import get_attribute, get_constant, has_same_shape, keeps_shape, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

_BINARY = (
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Max",
    "Min",
    "Pow",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
)


def _rewrite(node: ir.Node) -> Outcome:
    if len(node.inputs) != 2:
        return None
    for place, value in enumerate(node.inputs):
        other = node.inputs[1 - place]
        filled = match_filled(value)
        if value is None or filled is None or other is None:
            continue
        number, sizes = filled
        if not has_same_shape(other, sizes):
            return Declined("the other side is not known to have the shape that is filled")
        if value.dtype is None:
            return Declined("the type of the numbers is not known")
        constant = Edit(node).constant(number, value.dtype.numpy(), "filled")
        node.replace_input_with(place, constant)
        node.outputs[0].shape = other.shape
        filling = value.producer()
        if filling is not None and not list(value.uses()) and not value.is_graph_output():
            remove_node(filling)
        return FIRED
    return None


def match_filled(value: ir.Value | None) -> tuple[Array, ir.Value] | None:
    """(c, x) of Expand(c, Shape(x)), or of ConstantOfShape(Shape(x)); c has no axes."""
    node = match_operator(value, "Expand", "ConstantOfShape")
    shape = match_operator(node.inputs[-1], "Shape") if node is not None else None
    if node is None or shape is None or shape.inputs[0] is None:
        return None
    if "end" in shape.attributes or get_attribute(shape, "start", 0) != 0:
        return None
    if node.op_type == "Expand":
        filling = get_constant(node.inputs[0])
        if filling is None or filling.size != 1 or not keeps_shape(filling, shape.inputs[0]):
            return None
    else:
        tensor = node.attributes.get("value")
        filling = np.zeros(1, np.float32) if tensor is None else np.asarray(tensor.value.numpy())
    return filling.reshape(()), shape.inputs[0]


RULE = Rule("filled_to_scalar", _BINARY, _rewrite, is_exact=True)
