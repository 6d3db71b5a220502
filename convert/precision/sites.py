"""The sites at which a graph may be rounded, and the interface of every way of rounding."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx_ir as ir

from convert.graph.depthwise import scales_channels
from convert.graph.nodes import get_constant, get_layer_name
from convert.model_io.array import Array

LINEAR = frozenset({"Conv", "Gemm", "MatMul"})
PASS_THROUGH = frozenset(
    {
        *("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
        *("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Identity", "Dropout"),
        *("Add", "Pad", "Slice", "Split", "Cast", "BatchNormalization", "LayerNormalization"),
    }
)
"""Operators between an activation and its readers, or before it, that give a site no name."""
_SEPARATING = LINEAR | {"Softmax", "LogSoftmax", "LayerNormalization", "Transpose"}
_ARITHMETIC = frozenset({"Mul", "Div", "Sub", "Neg"})

Ranges = Mapping[str, tuple[float, float]]
"""The least and largest number that each value of a graph took, by its name."""


@dataclass(frozen=True, slots=True)
class RoundingSite:
    """An activation and its readers, by their nodes' names; without an activation it is named by a reader."""

    layer: str
    kind: str
    between: tuple[str, ...]
    """The nodes before the readers: the activation, pools and other operators that pass it on."""
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    """The convolutions that the activation reads."""
    has_activation: bool


class Scheme(Protocol):
    """One way of rounding one graph."""

    @property
    def sites(self) -> Sequence[RoundingSite]:
        """The sites at which it rounds."""

    @property
    def ranges_by(self) -> str | None:
        """The name of the way in which ranges were chosen; None where it needs none of calibration data."""

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The rounded graph, with these sites in float; inputs and outputs are those of the float graph."""


@dataclass(slots=True)
class _SiteNodes:
    between: list[ir.Node]
    readers: list[ir.Node] = field(default_factory=list)


def find_sites(model: ir.Model, kinds: Mapping[str, str], products: bool = False) -> tuple[RoundingSite, ...]:
    """Every site of the graph, in its order; `kinds` names the class of each module.

    With `products`, also those before products of two computed matrices that can be rounded.
    """
    owner: dict[ir.Node, _SiteNodes] = {}
    result: list[_SiteNodes] = []
    readers = [node for node in model.graph if is_linear(node) or (products and _is_roundable_product(node))]
    ends = frozenset(readers)
    for node in readers:
        sources = node.inputs[:2] if is_product(node) else node.inputs[:1]
        producers = [None if source is None else source.producer() for source in sources]
        site = None if producers[0] is None else owner.get(producers[0])
        if site is None:
            site = _SiteNodes(_walk_back(producers, ends | owner.keys()))
            owner |= dict.fromkeys(site.between, site)
            result.append(site)
        site.readers.append(node)
    return tuple(_name_site(site, kinds) for site in result)


def is_linear(node: ir.Node) -> bool:
    """Whether it is a layer that multiplies by constant weights in float32: a kernel, or one matrix.

    ONNX Runtime has no product in 8 bits with a vector, or with a matrix for each sample.
    """
    if node.op_type not in LINEAR or node.domain or len(node.inputs) < 2 or scales_channels(node):
        return False
    weights = get_constant(node.inputs[1])
    if weights is None or weights.dtype != np.float32:
        return False
    return node.op_type == "Conv" or weights.ndim == 2


def is_product(node: ir.Node) -> bool:
    """Whether it multiplies two computed matrices, or stacks of them, in float32, as attention does."""
    return (
        node.op_type == "MatMul"
        and not node.domain
        and all(value is not None and _is_computed_matrix(value) for value in node.inputs)
    )


def _is_roundable_product(node: ir.Node) -> bool:
    """Whether it is a product whose result does not meet itself, as in y + Relu(y).

    OpenVINO 2026.4 computes what two readers of such a result are added or multiplied to wrong, by all of its
    scale; behind what separates the readers from the product it is right.
    """
    if not is_product(node):
        return False
    value = node.outputs[0]
    while uses := list(value.uses()):
        reader = uses[0].node
        if len(uses) > 1 or len(reader.outputs) > 1:
            return False
        if reader.op_type in _SEPARATING:
            return True
        value = reader.outputs[0]
    return True


def _is_computed_matrix(value: ir.Value) -> bool:
    is_float_matrix = value.dtype == ir.DataType.FLOAT and value.shape is not None and len(value.shape) > 1
    return is_float_matrix and get_constant(value) is None


def read_bias(gemm: ir.Node, outputs: int) -> Array | None:
    """What it adds to each row, [outputs]; None where it is computed, or differs from row to row."""
    value = gemm.inputs[2] if len(gemm.inputs) > 2 else None
    if value is None:
        return np.zeros(outputs, np.float32)
    bias = get_constant(value)
    if bias is None or bias.size not in (1, outputs) or (bias.ndim and bias.shape[-1] != bias.size):
        return None
    factor = np.float32(gemm.attributes.get_float("beta", 1.0))
    return np.broadcast_to(bias.reshape(-1) * factor, (outputs,)).copy()


def _walk_back(last: Sequence[ir.Node | None], ends: Collection[ir.Node]) -> list[ir.Node]:
    """The nodes from `last` back to inputs and `ends`, without these, the nearest first."""
    nodes: dict[ir.Node, None] = {}
    waiting = list(last)
    while waiting:
        node = waiting.pop(0)
        if node is None or node in nodes or node in ends:
            continue
        nodes[node] = None
        waiting += [value.producer() for value in node.inputs if value is not None]
    return list(nodes)


def _name_site(site: _SiteNodes, kinds: Mapping[str, str]) -> RoundingSite:
    shown = [node for node in site.between if node.op_type not in PASS_THROUGH]
    # A scale may have moved past a pool and bear its name: the nonlinear operator is the activation.
    curved = next((node for node in shown if node.op_type not in _ARITHMETIC), shown[0] if shown else None)
    named = curved or site.readers[0]
    layer = get_layer_name(named)
    return RoundingSite(
        layer=layer,
        kind=kinds.get(layer) or named.op_type,
        between=_list_names(site.between),
        readers=_list_names(site.readers),
        writers=_list_names(_find_writers(site.between)),
        has_activation=curved is not None,
    )


def _find_writers(between: Sequence[ir.Node]) -> list[ir.Node]:
    producers = [value.producer() for node in between for value in node.inputs if value is not None]
    return [node for node in dict.fromkeys(producers) if node and node.op_type == "Conv" and is_linear(node)]


def _list_names(nodes: Sequence[ir.Node]) -> tuple[str, ...]:
    return tuple(node.name or "" for node in nodes)
