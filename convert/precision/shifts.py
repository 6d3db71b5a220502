"""What rounding the weights adds to a layer's results on average, and biases that take it away.

Also biases in the one form that ONNX Runtime's quantisation reads.

Rounded weights differ from the exact ones by up to half a step each; on inputs whose means are not 0 the
differences do not cancel, and each channel of the result is shifted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import feeds_only, get_constant
from convert.model_io.array import Array
from convert.precision.distributions import Distributions
from convert.precision.sites import is_linear, read_bias

LARGEST_WEIGHT = 127


@dataclass(frozen=True, slots=True)
class Bias:
    """The constant that an input of a node has to be."""

    node: str
    place: int
    numbers: Array


def make_rows(model: ir.Model) -> Mapping[str, Bias | None]:
    """The constant bias of each Gemm as one row that is not scaled, by the layers' names, where it is not.

    None where it differs from row to row. ONNX Runtime's quantisation (1.32) fails on a bias of another shape
    and loses the factor of one.
    """
    rows: dict[str, Bias | None] = {}
    for node in model.graph:
        if node.op_type != "Gemm" or not is_linear(node) or len(node.inputs) < 3:
            continue
        weights, bias = get_constant(node.inputs[1]), get_constant(node.inputs[2])
        if weights is None or bias is None:
            continue
        outputs = weights.shape[0 if _get_int(node, "transB", 0) else 1]
        if bias.shape != (outputs,) or node.attributes.get_float("beta", 1.0) != 1:
            row, name = read_bias(node, outputs), node.name or ""
            rows[name] = None if row is None else Bias(name, 2, row)
    return rows


def correct_biases(model: ir.Model, distributions: Distributions) -> Mapping[str, Bias]:
    """The biases with which layers with rounded weights give the exact means, by the layers' names.

    Only of layers that have biases of their own, and whose inputs' means are known.
    """
    biases = {}
    for node in model.graph:
        value = node.inputs[0] if node.inputs else None
        known = distributions.get(value.name or "") if value is not None else None
        if not is_linear(node) or known is None or known.means is None:
            continue
        adding, place = _find_bias(node)
        bias = get_constant(adding.inputs[place]) if len(adding.inputs) > place else None
        if bias is None or (node.op_type == "Gemm" and not _is_plain(node)):
            continue
        shift = _find_shift(node, known.means)
        if shift.size == bias.size and bias.shape[-1:] in ((), (bias.size,)) and np.isfinite(shift).all():
            shape = bias.shape if adding is not node else (-1,)
            numbers = (bias.reshape(shape) - shift.reshape(shape)).astype(np.float32)
            biases[node.name or ""] = Bias(adding.name or "", place, numbers)
    return biases


def _find_bias(layer: ir.Node) -> tuple[ir.Node, int]:
    """The node that adds the layer's bias, and which of its inputs that is."""
    result = layer.outputs[0]
    if layer.op_type == "MatMul":
        for reader, place in result.uses():
            if reader.op_type == "Add" and not reader.domain and feeds_only(result, reader):
                return reader, 1 - place
    return layer, 2


def _is_plain(gemm: ir.Node) -> bool:
    """Whether the product is of the input as it is, and neither it nor the bias is scaled."""
    given, usual = gemm.attributes, {"alpha": 1.0, "beta": 1.0, "transA": 0}
    return all(given[name].value == value for name, value in usual.items() if name in given)


def _find_shift(node: ir.Node, means: Array) -> Array:
    """The mean of each channel of the result with rounded weights, less that with the exact ones."""
    weights = get_constant(node.inputs[1])
    if weights is None:
        raise ValueError("a linear layer has constant weights")
    if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _get_int(node, "transB", 0)):
        weights = weights.T
    rows = weights.reshape(len(weights), -1).astype(np.float64)
    scale = np.abs(rows).max(axis=1, keepdims=True, initial=0) / LARGEST_WEIGHT
    scale[scale == 0] = 1
    lost = (np.rint(rows / scale) * scale - rows).reshape(*weights.shape[:2], -1).sum(axis=2)
    groups = _get_int(node, "group", 1) if node.op_type == "Conv" else 1
    each = lost.reshape(groups, -1, lost.shape[1])
    shift: Array = np.einsum("goc,gc->go", each, means.reshape(groups, -1)).reshape(-1)
    return shift


def _get_int(node: ir.Node, name: str, default: int) -> int:
    return int(node.attributes[name].value) if name in node.attributes else default
