"""Elu<alpha>(x) -> Max(x, alpha · Exp(Min(x, 0)) − alpha) for 0 <= alpha <= 1,
            -> Relu(x) + (alpha · Exp(Min(x, 0)) − alpha) for any other alpha.

Exact up to the rounding of Exp and Sub, 6e-8 · alpha. For x >= 0 the second term is alpha · 1 − alpha = 0.
For x < 0, exp(x) − 1 >= x, hence with alpha in [0, 1] alpha · (exp(x) − 1) >= x too, and Max picks it.
ONNX Runtime's Exp is vectorised and its Elu is not: 1.08 instead of 1.21 of a ReLU network's time.
In a sum with Relu(x) it is always the second form, whose Relu(x) and constant merge with the sum's, and
between convolutions, where `plain_term_to_convolution` makes a sum a part of a convolution.
Declined on rows [batch, features] of fewer than 2048 numbers, where ONNX Runtime fuses Elu into the Gemm
before it: below about 1000 that is faster, from about 2000 this form takes 0.68 to 0.82 of its time. A free
batch counts as one.
"""

from math import prod

import onnx_ir as ir

from convert.graph.blend import find_enclosing_blend
from convert.graph.edit import Edit
from convert.graph.layout import has_aligned_channels, is_between_blocked
from convert.graph.nodes import get_attribute, get_rank, match_argument
from convert.graph.rule import FIRED, Declined, Outcome, Rule

FEWEST_NUMBERS = 2048


def _rewrite(node: ir.Node) -> Outcome:
    value = node.inputs[0]
    axes = get_rank(value) if value is not None else None
    if value is None or value.dtype is None or axes is None:
        return Declined("the type or rank of the input is not known")
    if fuses_into_gemm(value):
        return Declined("on rows `Elu` fuses into the Gemm before it")
    alpha, dtype = get_attribute(node, "alpha", 1), value.dtype.numpy()
    edit = Edit(node)
    decay = edit.op("Exp", edit.op("Min", value, edit.constant(0.0, dtype, "zero")))
    depth = edit.constant(alpha, dtype, "alpha")
    decay = decay if alpha == 1 else edit.op("Mul", decay, depth)
    if _is_beside_relu(node, value):
        edit.replace(edit.op("Sub", edit.op("Add", edit.op("Relu", value), decay), depth))
    elif 0 <= alpha <= 1 and not (is_between_blocked(node, value) and has_aligned_channels(value)):
        edit.replace(edit.op("Max", value, edit.op("Sub", decay, depth)))
    else:
        edit.replace(edit.op("Add", edit.op("Relu", value), edit.op("Sub", decay, depth)))
    return FIRED


def fuses_into_gemm(value: ir.Value) -> bool:
    """True for rows of so few numbers, as far as sizes are known, that Elu is faster within the Gemm."""
    sizes = tuple(value.shape or ())
    return len(sizes) <= 2 and prod(size for size in sizes if isinstance(size, int)) < FEWEST_NUMBERS


def _is_beside_relu(node: ir.Node, value: ir.Value) -> bool:
    blend = find_enclosing_blend(node)
    terms = blend.terms if blend is not None else ()
    return any(match_argument(term.value, "Relu") is value for term in terms)


RULE = Rule("elu_to_exp", ("Elu",), _rewrite)
