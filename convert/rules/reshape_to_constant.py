"""Reshape(x, [n, c, …]) with sizes that are computed -> Reshape(x, [−1, c, …]), at most one of them unknown.

Exact: the sizes of a tensor multiply to the number of its elements, so the others leave one value for n,
wherever it stands, and a size that the graph states is constant. Exporters write `x.view(x.shape[0], …)` as a
chain of Shape, Gather, Unsqueeze and Concat. Declined where two sizes are unknown, or one is 0.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.edit import Edit
from convert.graph.nodes import get_attribute, get_constant, get_scalar, match_operator
from convert.graph.rule import FIRED, Declined, Outcome, Rule

UNKNOWN = -1


def _rewrite(node: ir.Node) -> Outcome:
    joined = match_operator(node.inputs[1], "Concat") if len(node.inputs) > 1 else None
    if node.inputs[0] is None or joined is None:
        return None
    if get_attribute(node, "allowzero", 0):
        return Declined("a size of 0 means 0 there")
    parts = [_read_sizes(part) for part in joined.inputs]
    known = [part for part in parts if part is not None]
    sizes = [size for part in known for size in part]
    if len(known) < len(parts) or sizes.count(UNKNOWN) > 1 or 0 in sizes:
        return Declined("two sizes are not known, or one is 0")
    edit = Edit(node)
    reshaped = edit.op("Reshape", node.inputs[0], edit.constant(np.array(sizes), np.int64, "sizes"))
    own = tuple(reshaped.shape or ())
    if len(own) == len(sizes):
        reshaped.shape = ir.Shape(
            [old if size == UNKNOWN else size for old, size in zip(own, sizes, strict=True)]
        )
    edit.replace(reshaped)
    return FIRED


def _read_sizes(part: ir.Value | None) -> list[int] | None:
    """The sizes in this part of the shape; None where their number is not known."""
    known = get_constant(part)
    if known is not None:
        return [int(size) for size in known.reshape(-1)]
    if part is None or part.shape is None or tuple(part.shape) != (1,):
        return None
    return [_read_stated_size(part)]


def _read_stated_size(part: ir.Value) -> int:
    """The size of Unsqueeze(Gather(Shape(x), place)), where the graph states it, else UNKNOWN."""
    unsqueeze = match_operator(part, "Unsqueeze", "Reshape")
    gather = match_operator(unsqueeze.inputs[0], "Gather") if unsqueeze is not None else None
    shape = match_operator(gather.inputs[0], "Shape") if gather is not None else None
    if gather is None or shape is None or "end" in shape.attributes or get_attribute(shape, "start", 0):
        return UNKNOWN
    source, place = shape.inputs[0], get_scalar(gather.inputs[1])
    if source is None or source.shape is None or place is None:
        return UNKNOWN
    sizes = tuple(source.shape)
    size = sizes[int(place)] if -len(sizes) <= place < len(sizes) else None
    return size if isinstance(size, int) else UNKNOWN


RULE = Rule("reshape_to_constant", ("Reshape",), _rewrite, is_exact=True)
