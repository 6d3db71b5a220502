"""a · Relu(x) + b · x -> LeakyRelu(Conv(x)), 1×1 and depthwise, in a sum of more terms or alone.

Exact up to rounding: the slopes a + b on the right and b on the left are worked out in float64. With a slope
s above 0 on the right, or below 0 on the left, it is LeakyRelu<r / s>(s · x), r being the other one; with
neither it is −LeakyRelu of −x's. ONNX Runtime computes it in one pass over an image in the blocked layout of
a convolution, and the sum of two terms in three. Declined where a or b differ between channels, and where one
slope is 1000 times the other.
"""

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, Term, match_blend, write_blend
from convert.graph.depthwise import require_numbers, write_depthwise
from convert.graph.edit import Edit
from convert.graph.layout import is_blocked
from convert.graph.linear import NotExactError
from convert.graph.nodes import match_argument
from convert.graph.rule import FIRED, Declined, Outcome, Rule

LARGEST_RATIO = 1e3


def _rewrite(node: ir.Node) -> Outcome:
    blend = match_blend(node)
    pair = _match_pair(blend) if blend is not None else None
    if blend is None or pair is None or not is_blocked(pair[1].value):
        return None
    bent, line = pair
    if bent.coefficient.size != 1 or line.coefficient.size != 1:
        return Declined("the slopes differ between channels")
    left = line.coefficient.item()
    scale, slope, sign = _orient(left + bent.coefficient.item(), left)
    if abs(slope) > LARGEST_RATIO * abs(scale):
        return Declined("one slope is much larger than the other")
    try:
        numbers = require_numbers(np.full((), scale), line.value)
    except NotExactError as reason:
        return Declined(str(reason))
    edit = Edit(node)
    steep = write_depthwise(edit, line.value, numbers)
    joined = edit.op("LeakyRelu", steep, alpha=slope / scale if scale else 1.0)
    others = tuple(term for term in blend.terms if term is not bent and term is not line)
    edit.replace(write_blend(replace(blend, terms=(Term(np.full((), sign), joined), *others)), edit))
    return FIRED


def _orient(right: float, left: float) -> tuple[float, float, float]:
    """(s, r, sign) of sign · LeakyRelu<r / s>(s · x), which has these slopes."""
    sign = 1.0 if right > 0 or left < 0 else -1.0
    right, left = sign * right, sign * left
    return (right, left, sign) if right >= -left else (left, right, sign)


def _match_pair(blend: Blend) -> tuple[Term, Term] | None:
    """(a · Relu(x), b · x)."""
    for bent in blend.terms:
        value = match_argument(bent.value, "Relu")
        line = next((term for term in blend.terms if term.value is value), None)
        if line is not None:
            return bent, line
    return None


RULE = Rule("relu_and_line_to_leakyrelu", ("Add", "Sub"), _rewrite)
