"""Exact forms beside those of RULES: the machine decides whether they are faster, so only tuning chooses
them.

Each is a rule that fires where a plan takes it, once RULES have come to rest; these would undo some of them.
"""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute, get_constant, get_scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.rules.prelu_to_relu import LARGEST_SLOPE, write_prelu

Dtype = np.dtype[np.generic]
Write = Callable[[ir.Node, Edit, ir.Value, Dtype], ir.Value | str]
"""The form of a node, given its first input and that input's dtype; or the reason why it has none."""


def _make_rule(name: str, operator: str, write: Write) -> Rule:
    def rewrite(node: ir.Node) -> Outcome:
        value = node.inputs[0]
        if value is None or value.dtype is None:
            return Declined("the type of the input is not known")
        edit = Edit(node)
        written = write(node, edit, value, value.dtype.numpy())
        if isinstance(written, str):
            return Declined(written)
        edit.replace(written)
        return FIRED

    return Rule(name, (operator,), rewrite)


def _write_decay(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value:
    """alpha · Exp(Min(x, 0)) − alpha."""
    alpha = get_attribute(node, "alpha", 1)
    decay = edit.op("Exp", edit.op("Min", value, edit.constant(0.0, dtype, "zero")))
    depth = edit.constant(alpha, dtype, "alpha")
    return edit.op("Sub", decay if alpha == 1 else edit.op("Mul", decay, depth), depth)


def _elu_as_max(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """Elu(x) -> Max(x, alpha · Exp(Min(x, 0)) − alpha): eˣ − 1 >= x, so for alpha in [0, 1] Max picks it."""
    if not 0 <= get_attribute(node, "alpha", 1) <= 1:
        return "above 1 the exponential falls below the line"
    return edit.op("Max", value, _write_decay(node, edit, value, dtype))


def _elu_as_sum(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """Elu(x) -> Relu(x) + (alpha · Exp(Min(x, 0)) − alpha): one of the two terms is 0."""
    return edit.op("Add", edit.op("Relu", value), _write_decay(node, edit, value, dtype))


def _prelu_as_min(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """PRelu(x, s) -> Relu(x) + s · Min(x, 0): one of the two terms is 0; any s, and Inf stays Inf."""
    slope = get_constant(node.inputs[1])
    if slope is None:
        return "the slope is not constant"
    left = edit.op("Min", value, edit.constant(0.0, dtype, "zero"))
    scaled = edit.op("Mul", left, edit.constant(slope, dtype, "slope"))
    return edit.op("Add", edit.op("Relu", value), scaled)


def _leakyrelu_as_relu(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """LeakyRelu(x) -> (1 − a) · Relu(x) + a · x, also where a convolution would take it over."""
    slope = get_attribute(node, "alpha", 0.01)
    if abs(slope) > LARGEST_SLOPE:
        return f"a slope beyond {LARGEST_SLOPE:g} would cancel digits"
    return write_prelu(edit, value, np.asarray(slope), dtype)


def _leakyrelu_as_max(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """LeakyRelu(x) -> Max(x, a · x) for 0 <= a <= 1: the larger is x above 0 and a · x below."""
    slope = get_attribute(node, "alpha", 0.01)
    if not 0 <= slope <= 1:
        return "outside 0 to 1 Max picks the other line"
    return edit.op("Max", value, edit.op("Mul", value, edit.constant(slope, dtype, "slope")))


def _gelu_as_erf(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """Gelu(x) -> x · (½ · Erf(x / √2) + ½), its definition, in an order that ONNX Runtime does not join."""
    chosen = node.attributes.get("approximate")
    if chosen is not None and chosen.value != "none":
        return "the approximation by Tanh has another curve"
    error = edit.op("Erf", edit.op("Mul", value, edit.constant(np.sqrt(0.5), dtype, "steepness")))
    half = edit.constant(0.5, dtype, "half")
    return edit.op("Mul", value, edit.op("Add", edit.op("Mul", error, half), half))


def _hardswish_as_gate(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """HardSwish(x) -> x · HardSigmoid<1/6, ½>(x), its definition."""
    return edit.op("Mul", value, edit.op("HardSigmoid", value, alpha=1 / 6, beta=0.5))


def _hardswish_as_clip(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """HardSwish(x) -> x · Clip(x / 6 + ½, 0, 1), its definition."""
    line = edit.op("Mul", value, edit.constant(1 / 6, dtype, "sixth"))
    shifted = edit.op("Add", line, edit.constant(0.5, dtype, "half"))
    bounds = edit.constant(0.0, dtype, "zero"), edit.constant(1.0, dtype, "one")
    return edit.op("Mul", value, edit.op("Clip", shifted, *bounds))


def _clip_as_max_min(node: ir.Node, edit: Edit, value: ir.Value, dtype: Dtype) -> ir.Value | str:
    """Clip(x, a, b) -> Min(Max(x, a), b), its definition; a bound that is not given is left out."""
    bounds = [*node.inputs[1:], None, None][:2]
    if any(bound is not None and get_scalar(bound) is None for bound in bounds):
        return "the bounds are not constant"
    if bounds == [None, None]:
        return "it has no bounds"
    for operator, bound in zip(("Max", "Min"), bounds, strict=True):
        value = edit.op(operator, value, bound) if bound is not None else value
    return value


ALTERNATIVES: tuple[Rule, ...] = (
    _make_rule("elu_as_max", "Elu", _elu_as_max),
    _make_rule("elu_as_sum", "Elu", _elu_as_sum),
    _make_rule("prelu_as_min", "PRelu", _prelu_as_min),
    _make_rule("leakyrelu_as_relu", "LeakyRelu", _leakyrelu_as_relu),
    _make_rule("leakyrelu_as_max", "LeakyRelu", _leakyrelu_as_max),
    _make_rule("gelu_as_erf", "Gelu", _gelu_as_erf),
    _make_rule("hardswish_as_gate", "HardSwish", _hardswish_as_gate),
    _make_rule("hardswish_as_clip", "HardSwish", _hardswish_as_clip),
    _make_rule("clip_as_max_min", "Clip", _clip_as_max_min),
)
"""Every form that no rule of RULES writes, by the operator that it takes the place of."""
