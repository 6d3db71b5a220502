"""Selu<alpha, gamma>(x) -> gamma · Elu<alpha>(x), and Celu<alpha>(x) -> alpha · Elu<1>(x / alpha).

Exact: it is their definition, up to the rounding of a scale. The scales then go into the layers on either
side and Elu takes its cheaper form. Declined on rows, where Selu fuses into the Gemm before it, and for a
negative alpha of Celu.
"""

import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule

# ONNX gives float32 numbers as Selu's defaults.
ALPHA, GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    axes = get_rank(value) if value is not None else None
    if value is None or value.dtype is None or axes is None:
        return Declined("the type or rank of the input is not known")
    dtype, edit = value.dtype.numpy(), Edit(node)
    if node.op_type == "Selu":
        if axes <= 2:
            return Declined("on rows `Selu` fuses into the Gemm before it")
        inner, alpha, outer = value, get_attribute(node, "alpha", ALPHA), get_attribute(node, "gamma", GAMMA)
    else:
        outer, alpha = get_attribute(node, "alpha", 1), 1.0
        if outer <= 0:
            return Declined("the depth is not above 0")
        inner = value if outer == 1 else edit.op("Mul", value, edit.constant(1 / outer, dtype, "steepness"))
    curve = edit.op("Elu", inner, alpha=alpha)
    edit.replace(curve if outer == 1 else edit.op("Mul", curve, edit.constant(outer, dtype, "scale")))
    return FIRED


RULE = Rule("selu_to_elu", ("Selu", "Celu"), _rewrite)
