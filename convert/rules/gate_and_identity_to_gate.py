"""a · (x · g(x)) + b · x -> x · (a · g(x) + b), for a sum that has more terms too.

Exact up to rounding: the same products, added before x is multiplied in. SiLU and the identity in a blend so
take one product with x instead of two. Declined where a or b leaves float32's range.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.blend import Blend, Term, match_blend, write_blend
from convert.graph.edit import Edit
from convert.graph.nodes import (
    get_constant,
    get_only_consumer,
    has_same_shape,
    list_operand_orders,
    match_operator,
)
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    blend = match_blend(node)
    pair = _match_pair(blend) if blend is not None else None
    if blend is None or pair is None or node.outputs[0].dtype is None:
        return None
    gated, plain, gate = pair
    dtype = node.outputs[0].dtype.numpy()
    if not blend.fits_in(dtype):
        return Declined(f"a coefficient leaves the range of {dtype}")
    edit = Edit(node)
    slope = gate if gated.is_plain else edit.op("Mul", gate, edit.constant(gated.coefficient, dtype, "gate"))
    lifted = edit.op("Add", slope, edit.constant(plain.coefficient, dtype, "floor"))
    joined = Term(np.ones(()), edit.op("Mul", plain.value, lifted))
    others = [term for term in blend.terms if term is not gated and term is not plain]
    edit.replace(write_blend(Blend(node, (joined, *others), blend.shift, blend.shifts), edit))
    return FIRED


def _match_pair(blend: Blend) -> tuple[Term, Term, ir.Value] | None:
    """(a · (x · g), b · x, g)."""
    for gated in blend.terms:
        product = match_operator(gated.value, "Mul")
        if product is None or get_only_consumer(gated.value) is None:
            continue
        for value, gate in list_operand_orders(product):
            plain = next((term for term in blend.terms if term.value is value), None)
            if plain is not None and gate is not None and _is_gate(gate, plain.value):
                return gated, plain, gate
    return None


def _is_gate(gate: ir.Value, value: ir.Value) -> bool:
    return has_same_shape(gate, value) and gate is not value and get_constant(gate) is None


RULE = Rule("gate_and_identity_to_gate", ("Add", "Sub"), _rewrite)
