"""Forms that keep the digits of small signals, which Exp(x) − 1 and Log(1 + x) cancel.

At x = −1e-6 the float32 number nearest to exp(x) leaves exp(x) − 1 two digits; ONNX Runtime's Elu computes
just that. Each form is right to a few roundings of its own result. A network of convolutions takes 1.06 of
its time with `elu_to_exp`, so only a plan for small signals has them.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift
from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array


def _write_elu(node: ir.Node) -> Outcome:
    """Elu(x) -> Max(x, α · (exp(m) − 1)) for α in [0, 1], else Relu(x) + α · (exp(m) − 1), m = Min(x, 0)."""
    value = node.inputs[0]
    if value is None or value.dtype is None:
        return Declined("the type of the input is not known")
    edit, dtype, alpha = Edit(node), value.dtype.numpy(), get_attribute(node, "alpha", 1)
    low = edit.op("Min", value, edit.constant(0.0, dtype, "zero"))
    decay = _write_expm1(edit, low, np.asarray(alpha), value.dtype)
    edit.replace(
        edit.op("Max", value, decay) if 0 <= alpha <= 1 else edit.op("Add", edit.op("Relu", value), decay)
    )
    return FIRED


def _write_difference(node: ir.Node) -> Outcome:
    """d · Exp(x) − d -> d · (exp(x) − 1)."""
    shifted = match_shift(node)
    if shifted is None:
        return None
    scaled = match_scale(shifted[0].producer())
    inner, depth = scaled if scaled is not None else (shifted[0], np.ones(()))
    exponential = match_operator(inner, "Exp")
    exponent = exponential.inputs[0] if exponential is not None else None
    if exponent is None or np.any(shifted[1] + depth):
        return None
    if exponent.dtype is None:
        return Declined("the type of the input is not known")
    edit = Edit(node)
    edit.replace(_write_expm1(edit, exponent, depth, exponent.dtype))
    return FIRED


def _write_expm1(edit: Edit, value: ir.Value, depth: Array, kind: ir.DataType) -> ir.Value:
    """depth · Tanh(x / 2) · (Exp(x) + 1), as tanh(x / 2) = (exp(x) − 1) / (exp(x) + 1)."""
    dtype = kind.numpy()
    ratio = edit.op("Tanh", edit.op("Mul", value, edit.constant(0.5, dtype, "half")))
    total = edit.op("Add", edit.op("Exp", value), edit.constant(1.0, dtype, "one"))
    product = edit.op("Mul", ratio, total)
    if (depth == 1).all():
        return product
    return edit.op("Mul", product, edit.constant(depth, dtype, "depth"))


def _write_log1p(node: ir.Node) -> Outcome:
    """Log(1 + x) -> Log(u) · x / (u − 1), and x where u = 1 + x rounds to 1: u − 1 has the rounding of u.

    Above 1 it is Log(u) as before: there it loses nothing, and ∞ / ∞ would be NaN.

    Source: Goldberg 1991, What every computer scientist should know about floating-point arithmetic, theorem
    4, https://doi.org/10.1145/103162.103163
    """
    total = node.inputs[0]
    shifted = match_shift(total.producer()) if total is not None else None
    if total is None or shifted is None or (shifted[1] != 1).any():
        return None
    if any(use.node.op_type == "Equal" for use in total.uses()):
        return None  # it is this form
    value = shifted[0]
    if value.dtype is None:
        return Declined("the type of the input is not known")
    edit, dtype = Edit(node), value.dtype.numpy()
    unit = edit.constant(1.0, dtype, "one")
    rounded = edit.op("Div", value, edit.op("Sub", total, unit))
    plain = edit.op("Log", total)
    is_tiny, is_large = edit.op("Equal", total, unit), edit.op("Greater", value, unit)
    is_tiny.type = is_large.type = ir.TensorType(ir.DataType.BOOL)
    exact = edit.op("Where", is_tiny, value, edit.op("Mul", plain, rounded))
    edit.replace(edit.op("Where", is_large, plain, exact))
    return FIRED


SMALL_FORMS: tuple[Rule, ...] = (
    Rule("elu_as_tanh", ("Elu",), _write_elu),
    Rule("difference_as_tanh", ("Sub", "Add"), _write_difference),
    Rule("log_as_ratio", ("Log",), _write_log1p),
)
