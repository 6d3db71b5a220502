"""a · f(x) + b · f(x) -> (a + b) · f(x), 0 · f(x) -> nothing, and all constants of a sum -> one.

Exact up to rounding: coefficients are added in float64 and rounded once, which only lessens the error. It
holds for every finite f(x). Equal terms are those computed by the same operators of the same inputs and
constants, such as hinges that share a knot, or the ReLU of a blend and that of the ELU beside it.
Declined where an added coefficient would leave float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, Term, is_same_value, match_blend, write_blend
from convert.graph.edit import Edit
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    blend = match_blend(node)
    if blend is None:
        return None
    fewer = _merge(blend.terms)
    if len(fewer) == len(blend.terms) and blend.shifts <= 1:
        return None
    shorter = Blend(node, fewer, blend.shift, min(blend.shifts, 1))
    dtype = fewer[0].value.dtype
    if dtype is None or not shorter.fits_in(dtype.numpy()):
        return Declined(f"an added coefficient leaves the range of {dtype}")
    if len(fewer) == 1 and fewer[0].is_plain and not blend.shift.any() and node.outputs[0].is_graph_output():
        return Declined("an output of the graph cannot be another name for a value within it")
    edit = Edit(node)
    edit.replace(write_blend(shorter, edit))
    return FIRED


def _merge(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    merged: list[Term] = []
    for term in terms:
        place = next((i for i, known in enumerate(merged) if is_same_value(known.value, term.value)), None)
        if place is None:
            merged.append(term)
        else:
            merged[place] = Term(merged[place].coefficient + term.coefficient, merged[place].value)
    nonzero = tuple(term for term in merged if np.any(term.coefficient))
    return nonzero or tuple(merged[:1])


RULE = Rule("blend_to_fewer_terms", ("Add", "Sub"), _rewrite)
