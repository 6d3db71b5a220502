"""Min(Max(x, 0), s) -> s · Clip(x / s, 0, 1), and with −s in place of 0 s · Clip(x / s, −1, 1), per channel.

Exact up to the rounding of x / s · s, two units in the last place of x, which the layer before computes
with no more precision. Its weights take 1 / s over and what follows takes s. ONNX Runtime takes the Clip
over into a convolution that it alone reads, and leaves the blocked layout once instead of twice elsewhere
(PACT 1.04 -> 1.01 of a ReLU network's time, PLU 1.07 -> 1.05). Declined where the bounds cross, or differ
between channels in another way, and where what computes x takes no scale.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.bounds import BoundedValue, match_bounds
from convert.graph.edit import Edit
from convert.graph.layers import find_layer_before
from convert.graph.layout import is_between_blocked
from convert.graph.nodes import is_representable
from convert.graph.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    bounded = match_bounds(node)
    if bounded is None or (bounded.low.size == 1 and bounded.high.size == 1):
        return None
    if not (bounded.low <= bounded.high).all():
        return Declined("the bounds cross")
    symmetric = not np.any(bounded.low + bounded.high)
    scale, dtype = bounded.high.astype(np.float64), bounded.high.dtype
    if not (scale > 0).all() or (np.any(bounded.low) and not symmetric):
        return Declined("the bounds differ between channels, and are not 0 or −s, and s above 0")
    if not is_representable(1 / scale, dtype):
        return Declined(f"the reciprocal of the bound leaves the range of {dtype}")
    if not _pays(node, bounded):
        return Declined("per channel it pays between convolutions only, where the first takes a scale")
    edit = Edit(node)
    inner = edit.op("Mul", bounded.value, edit.constant(1 / scale, dtype, "reciprocal"))
    bounds = (edit.constant(-1.0 if symmetric else 0.0, dtype, "a"), edit.constant(1.0, dtype, "b"))
    edit.replace(edit.op("Mul", edit.op("Clip", inner, *bounds), edit.constant(scale, dtype, "scale")))
    return FIRED


def _pays(node: ir.Node, bounded: BoundedValue) -> bool:
    return find_layer_before(bounded.value) is not None and is_between_blocked(node, bounded.value)


RULE = Rule("bounds_to_clip", ("Max", "Min", "Relu"), _rewrite)
