"""Min(Max(x, a), b) and Max(Min(x, b), a) -> Clip(x, a, b) for two numbers a <= b,
-> s · Clip(x / s, 0, 1) for bounds 0 and s, or s · Clip(x / s, −1, 1) for −s and s, per channel.

Exact for two numbers; per channel up to the rounding of x / s · s, two units in the last place. ONNX Runtime
takes a Clip over into the convolution before it and leaves the blocked layout for Max and Min (1.01 instead
of 1.04 of a ReLU network's time). Declined where the bounds cross, or differ between channels in another way,
and per channel where something else reads x: a difference to it would show the rounding.
"""

import numpy as np
import onnx_ir as ir

from convert.rewriting.graph import Array, Edit, constant, only_consumer, representable
from convert.rewriting.layout import between_blocked
from convert.rewriting.rule import FIRED, Declined, Outcome, Rule


def _rewrite(node: ir.Node) -> Outcome:
    outer = _bounded(node)
    inner_node = outer[0].producer() if outer is not None else None
    if outer is None or inner_node is None or only_consumer(outer[0]) is not node:
        return None
    inner = _bounded(inner_node)
    if inner is None or {node.op_type, inner_node.op_type} != {"Max", "Min"}:
        return None
    value = inner[0]
    low, high = (outer[1], inner[1]) if node.op_type == "Max" else (inner[1], outer[1])
    if not (low <= high).all():
        return Declined("the bounds cross")
    if low.size == 1 and high.size == 1:
        edit = Edit(node)
        bounds = (
            edit.constant(bound.reshape(()), low.dtype, name) for bound, name in ((low, "a"), (high, "b"))
        )
        edit.replace(edit.op("Clip", value, *bounds))
        return FIRED
    return _scaled(node, value, low, high)


def _scaled(node: ir.Node, value: ir.Value, low: Array, high: Array) -> Outcome:
    """The clip of x / s, where that is one."""
    scale = high.astype(np.float64)
    symmetric = not np.any(low + high)
    if not (scale > 0).all() or (np.any(low) and not symmetric) or value.shape != node.outputs[0].shape:
        return Declined("the bounds differ between channels, and are not 0 or −s, and s above 0")
    if not representable(1 / scale, high.dtype):
        return Declined(f"the reciprocal of the bound leaves the range of {high.dtype}")
    if only_consumer(value) is None or not between_blocked(node, value):
        return Declined("per channel it pays between convolutions only, and where nothing else reads x")
    edit = Edit(node)
    inner = edit.op("Mul", value, edit.constant(1 / scale, high.dtype, "reciprocal"))
    bounds = (edit.constant(-1.0 if symmetric else 0.0, high.dtype, "a"), edit.constant(1.0, high.dtype, "b"))
    clipped = edit.op("Clip", inner, *bounds)
    edit.replace(edit.op("Mul", clipped, edit.constant(scale, high.dtype, "scale")))
    return FIRED


def _bounded(node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, the bound) of Max or Min of x and a constant."""
    if node.op_type not in ("Max", "Min") or node.domain or len(node.inputs) != 2:
        return None
    for value, bound in (node.inputs, tuple(reversed(node.inputs))):
        array = constant(bound)
        if value is not None and array is not None and constant(value) is None and array.dtype.kind == "f":
            return value, array
    return None


RULE = Rule("max_min_to_clip", ("Max", "Min"), _rewrite)
