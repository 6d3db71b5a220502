"""Concat(x · s, y · t) -> Concat(x, y) · [s, t], so that all scales meet the next layer at once.

Exact: joining numbers does not change them. The scales are one number or one a channel, and the branches are
joined along their channels; equal numbers pass whatever the axis. Declined where a branch has none.
"""

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale
from convert.graph.edit import Edit
from convert.graph.nodes import broadcast_per_channel, feeds_only, get_rank
from convert.graph.rule import FIRED, Declined, Outcome, Rule
from convert.model_io.array import Array


def _rewrite(node: ir.Node) -> Outcome:
    branches = [_match_branch(value, node) for value in node.inputs]
    scaled = [branch for branch in branches if branch is not None]
    dtype = node.outputs[0].dtype
    if not scaled or dtype is None:
        return None
    if len(scaled) < len(branches):
        return Declined("a branch stands without a scale, or its scaled value is read elsewhere too")
    factor = _join_scales(scaled, node)
    if factor is None:
        return Declined("the scales do not follow the channels that are joined")
    edit = Edit(node)
    joined = edit.reapply(*(value for value, _ in scaled))
    edit.replace(edit.op("Mul", joined, edit.constant(factor, dtype.numpy(), "scale")))
    return FIRED


def _match_branch(value: ir.Value | None, node: ir.Node) -> tuple[ir.Value, Array] | None:
    """(x, s) of a branch x · s that only `node` reads."""
    return match_scale(value.producer()) if value is not None and feeds_only(value, node) else None


def _join_scales(branches: list[tuple[ir.Value, Array]], node: ir.Node) -> Array | None:
    """The scale of the joined branches; None where it cannot be one number or one a channel."""
    first = branches[0][1]
    if all(factor.size == 1 and factor.reshape(()) == first.reshape(()) for _, factor in branches):
        return first.reshape(())
    axes, axis = get_rank(node.outputs[0]), node.attributes.get_int("axis", 0)
    if axes is None:
        return None
    vectors: list[Array] = []
    for value, factor in branches:
        channels = value.shape[axis] if value.shape is not None else None
        vector = broadcast_per_channel(factor, value, axis, channels) if isinstance(channels, int) else None
        if vector is None:
            return None
        vectors.append(vector)
    return np.concatenate(vectors).reshape((-1,) + (1,) * (axes - axis % axes - 1))


RULE = Rule("scale_past_concat", ("Concat",), _rewrite)
