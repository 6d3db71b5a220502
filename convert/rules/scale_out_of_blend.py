"""a · f(x) + b · g(x) + t -> a · (f(x) + (b / a) · g(x) + t / a), so that a goes into the layer after.

Exact up to rounding: the quotients are worked out in float64 and rounded once, and a sum scales with its
terms, sign and all. It pays where no term stands without a scale, or all stand with the same, and a linear
layer or a scale reads the sum, also past pooling or a product. So a residual sum of two scaled branches is
scaled once, and x · (a · g(x) + t) becomes a · (x · (g(x) + t / a)).
Declined where no scale divides the others: one that is 0 in a channel, or more than 1000 times smaller.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, match_blend, write_blend
from convert.graph.commuting import is_absorbed
from convert.graph.edit import Edit
from convert.graph.layout import is_blocked
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array

LARGEST_RATIO = 1e3


def _rewrite(node: ir.Node) -> Outcome:
    blend = match_blend(node)
    if blend is None or any(term.is_plain for term in blend.terms):
        return None
    has_several = len(blend.terms) > 1
    if not has_several and not blend.shift.any():
        return None
    # A value outside the layout of a convolution costs most to scale.
    order = sorted(blend.terms, key=lambda term: is_blocked(term.value))
    factors = [term.coefficient for term in order if _divides(term.coefficient, blend)]
    is_common = (
        has_several and bool(factors) and all(term.is_plain for term in blend.divide(factors[0]).terms)
    )
    absorbed = [factor for factor in factors if is_common or is_absorbed(node.outputs[0], factor)]
    if not absorbed:
        return Declined("no scale divides the others") if not factors else None
    factor, dtype = absorbed[0], node.outputs[0].dtype
    if dtype is None or not blend.divide(factor).fits_in(dtype.numpy()):
        return Declined("no scale divides the others within the type's range")
    edit = Edit(node)
    total = write_blend(blend.divide(factor), edit)
    edit.replace(edit.op("Mul", total, edit.constant(factor, dtype.numpy(), "scale")))
    return FIRED


def _divides(factor: Array, blend: Blend) -> bool:
    if not factor.all():
        return False
    numbers = [*(term.coefficient for term in blend.terms), blend.shift]
    return all(bool((np.abs(number / factor) <= LARGEST_RATIO).all()) for number in numbers)


RULE = Rule("scale_out_of_blend", ("Add", "Sub"), _rewrite)
