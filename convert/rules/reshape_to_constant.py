"""Reshape(x, [n, c, …]) with sizes that are computed -> Reshape(x, [−1, c, …]), at most one of them unknown.

Exact: the sizes of a tensor multiply to the number of its elements, so the others leave one value for n,
wherever it stands, and a size that the graph states is constant. Exporters write `x.view(x.shape[0], …)` as a
chain of Shape, Gather, Unsqueeze and Concat. Declined where two sizes are unknown, or one is 0.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import Edit, attribute, constant, scalar
from convert.graph.rule import FIRED, Declined, Outcome, Rule

UNKNOWN = -1


def _rewrite(node: ir.Node) -> Outcome:
    sizes = node.inputs[1] if len(node.inputs) > 1 else None
    joined = sizes.producer() if sizes is not None else None
    if node.inputs[0] is None or joined is None or joined.op_type != "Concat":
        return None
    if attribute(node, "allowzero", 0):
        return Declined("a size of 0 means 0 there")
    parts = [_sizes(part) for part in joined.inputs]
    known = [part for part in parts if part is not None]
    written = [size for part in known for size in part]
    if len(known) < len(parts) or written.count(UNKNOWN) > 1 or 0 in written:
        return Declined("two sizes are not known, or one is 0")
    edit = Edit(node)
    reshaped = edit.op("Reshape", node.inputs[0], edit.constant(np.array(written), np.int64, "sizes"))
    own = tuple(reshaped.shape or ())
    if len(own) == len(written):
        reshaped.shape = ir.Shape(
            [old if size == UNKNOWN else size for old, size in zip(own, written, strict=True)]
        )
    edit.replace(reshaped)
    return FIRED


def _sizes(part: ir.Value | None) -> list[int] | None:
    """The sizes in this part of the shape; None where it is not known how many they are."""
    known = constant(part)
    if known is not None:
        return [int(size) for size in known.reshape(-1)]
    if part is None or part.shape is None or tuple(part.shape) != (1,):
        return None
    return [_stated(part)]


def _stated(part: ir.Value) -> int:
    """The size that is gathered from a shape, where the graph states it."""
    unsqueeze = part.producer()
    gather = (
        unsqueeze.inputs[0].producer() if unsqueeze is not None and unsqueeze.inputs[0] is not None else None
    )
    if gather is None or gather.op_type != "Gather" or gather.inputs[0] is None:
        return UNKNOWN
    whole, place = gather.inputs[0].producer(), scalar(gather.inputs[1])
    source = whole.inputs[0] if whole is not None and whole.op_type == "Shape" else None
    if source is None or source.shape is None or place is None or attribute(whole, "start", 0):  # type: ignore[arg-type]
        return UNKNOWN
    size = source.shape[int(place)]
    return size if isinstance(size, int) else UNKNOWN


RULE = Rule("reshape_to_constant", ("Reshape",), _rewrite)
