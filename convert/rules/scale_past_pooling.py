"""MaxPool(x · s) -> MaxPool(x) · s, so that the scale meets the next layer, and fewer numbers, on its way.

Also AveragePool, GlobalAveragePool, GlobalMaxPool, ReduceMean, and Flatten, Reshape, Squeeze for one number.
Exact: an average scales with what it averages; a maximum does so for s > 0 only (for s < 0 it would become a
minimum); moving numbers about does not change them. Declined otherwise, and where a scale per channel would
have to follow its channels to another place.
"""

import onnx_ir as ir

from convert.affine import scale_of
from convert.graph import Array, Edit, attribute, constant, only_consumer, rank
from convert.rewriting import FIRED, Declined, Outcome, Rule

_MAXIMA = ("MaxPool", "GlobalMaxPool")
_POOLS = (*_MAXIMA, "AveragePool", "GlobalAveragePool")
_MOVES = ("Flatten", "Reshape", "Squeeze")


def _rewrite(node: ir.Node) -> Outcome:
    found, scaled = scale_of(node), node.outputs[0]
    consumer = only_consumer(scaled)
    if (
        found is None
        or consumer is None
        or consumer.domain
        or consumer.op_type not in (*_POOLS, *_MOVES, "ReduceMean")
    ):
        return None
    value, factor = found
    reason = _obstacle(consumer, factor)
    if reason is not None:
        return Declined(reason)
    if scaled.dtype is None or consumer.inputs[0] is not scaled:
        return Declined("the type of the scaled value is not known")
    edit = Edit(consumer)
    number = factor.reshape(()) if factor.size == 1 else factor
    constant = edit.constant(number, scaled.dtype.numpy(), "scale")
    edit.replace(edit.op("Mul", edit.again(value, *consumer.inputs[1:]), constant))
    return FIRED


def _obstacle(consumer: ir.Node, factor: Array) -> str | None:
    if len(consumer.outputs) > 1:
        return f"`{consumer.op_type}` also gives the places of its maxima"
    if consumer.op_type in _MAXIMA and not (factor > 0).all():
        return f"`{consumer.op_type}` commutes with a scale above 0 only"
    if factor.size > 1 and consumer.op_type in _MOVES:
        return f"`{consumer.op_type}` moves the channels that the scale belongs to"
    if factor.size > 1 and consumer.op_type == "ReduceMean" and not _leaves_channels(consumer, factor):
        return (
            "`ReduceMean` averages over the channels that the scale belongs to, or drops the axes beside them"
        )
    return None


def _leaves_channels(reduce: ir.Node, factor: Array) -> bool:
    """True where every averaged axis is one along which the factor does not differ, and the rank stays."""
    axes = constant(reduce.inputs[1]) if len(reduce.inputs) > 1 else None
    rank_before = rank(reduce.outputs[0])
    if axes is None or rank_before is None or not attribute(reduce, "keepdims", 1):
        return False
    aligned = (1,) * (rank_before - factor.ndim) + factor.shape
    return all(aligned[int(axis)] == 1 for axis in axes.reshape(-1))


RULE = Rule("scale_past_pooling", ("Mul", "Div"), _rewrite)
