"""a · f(x) + b · g(x) + t -> a · (f(x) + (b / a) · g(x) + t / a), so that a goes into the layer after.

Exact up to rounding: the quotients are worked out in float64 and rounded once, and a sum scales with its
terms, sign and all. It pays where no term stands without a scale, or all stand with the same, and a linear
layer or a scale reads the sum, also past pooling or a product. So a residual sum of two scaled branches is
scaled once, and x · (a · g(x) + t) becomes a · (x · (g(x) + t / a)).
Declined where no scale divides the others: one that is 0 in a channel, or more than 1000 times smaller.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, blend_of, written
from convert.graph.commuting import absorbed
from convert.graph.layout import blocked
from convert.graph.nodes import Array, Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule

LARGEST_RATIO = 1e3


def _rewrite(node: ir.Node) -> Outcome:
    blend = blend_of(node)
    if blend is None or any(term.plain for term in blend.terms):
        return None
    several = len(blend.terms) > 1
    if not several and not blend.shift.any():
        return None
    # A value outside the layout of a convolution is the dearest to scale.
    order = sorted(blend.terms, key=lambda term: blocked(term.value))
    factors = [term.coefficient for term in order if _divides(term.coefficient, blend)]
    alike = several and bool(factors) and all(term.plain for term in blend.divided(factors[0]).terms)
    taken = [factor for factor in factors if alike or absorbed(node.outputs[0], factor)]
    if not taken:
        return Declined("no scale divides the others") if not factors else None
    factor, dtype = taken[0], node.outputs[0].dtype
    if dtype is None or not blend.divided(factor).held_in(dtype.numpy()):
        return Declined("no scale divides the others within the type's range")
    edit = Edit(node)
    total = written(blend.divided(factor), edit)
    edit.replace(edit.op("Mul", total, edit.constant(factor, dtype.numpy(), "scale")))
    return FIRED


def _divides(factor: Array, blend: Blend) -> bool:
    if not factor.all():
        return False
    numbers = [*(term.coefficient for term in blend.terms), blend.shift]
    return all(bool((np.abs(number / factor) <= LARGEST_RATIO).all()) for number in numbers)


RULE = Rule("scale_out_of_blend", ("Add", "Sub"), _rewrite)
