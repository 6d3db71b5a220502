"""Where a graph is rounded, and what every way of rounding offers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import constant, layer_of

LINEAR = frozenset({"Conv", "Gemm", "MatMul"})
PASSING = frozenset(
    {
        *("MaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean"),
        *("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Identity", "Dropout"),
        *("Add", "Pad", "Slice", "Split", "Cast", "BatchNormalization", "LayerNormalization"),
    }
)
"""What carries an activation to its readers, or stands before it, and gives a site no name."""
_ARITHMETIC = frozenset({"Mul", "Div", "Sub", "Neg"})


@dataclass(frozen=True, slots=True)
class Site:
    """An activation and its readers, by the names of their nodes; without one it is named for its reader."""

    layer: str
    kind: str
    between: tuple[str, ...]
    """What stands before the readers: the activation, pools and what else carries it."""
    readers: tuple[str, ...]
    writers: tuple[str, ...]
    """The convolutions that the activation reads."""
    has_activation: bool


@dataclass(slots=True)
class _Growing:
    between: list[ir.Node]
    readers: list[ir.Node] = field(default_factory=list)


def sites(model: ir.Model, kinds: Mapping[str, str]) -> tuple[Site, ...]:
    """Every site of the graph, in its order; `kinds` names the class of each module."""
    owner: dict[ir.Node, _Growing] = {}
    found: list[_Growing] = []
    for node in model.graph:
        if not is_linear(node):
            continue
        source = node.inputs[0]
        producer = None if source is None else source.producer()
        site = None if producer is None else owner.get(producer)
        if site is None:
            site = _Growing(_between(producer, owner))
            owner |= dict.fromkeys(site.between, site)
            found.append(site)
        site.readers.append(node)
    return tuple(_named(site, kinds) for site in found)


def is_linear(node: ir.Node) -> bool:
    """Whether it multiplies by constant weights in float32."""
    if node.op_type not in LINEAR or node.domain or len(node.inputs) < 2:
        return False
    weights = constant(node.inputs[1])
    return weights is not None and weights.dtype == np.float32


def _between(last: ir.Node | None, owner: Mapping[ir.Node, _Growing]) -> list[ir.Node]:
    """The nodes from `last` up to the linear layers, inputs and other sites before it, the nearest first."""
    found: dict[ir.Node, None] = {}
    waiting = [last]
    while waiting:
        node = waiting.pop(0)
        if node is None or node in found or node in owner or is_linear(node):
            continue
        found[node] = None
        waiting += [value.producer() for value in node.inputs if value is not None]
    return list(found)


def _named(site: _Growing, kinds: Mapping[str, str]) -> Site:
    shown = [node for node in site.between if node.op_type not in PASSING]
    # A scale may have moved past a pool, and be called by its name: what bends tells the activation.
    curved = next((node for node in shown if node.op_type not in _ARITHMETIC), shown[0] if shown else None)
    named = curved or site.readers[0]
    layer = layer_of(named)
    return Site(
        layer=layer,
        kind=kinds.get(layer) or named.op_type,
        between=_names(site.between),
        readers=_names(site.readers),
        writers=_names(_writers(site.between)),
        has_activation=curved is not None,
    )


def _writers(between: Sequence[ir.Node]) -> list[ir.Node]:
    producers = [value.producer() for node in between for value in node.inputs if value is not None]
    return [node for node in dict.fromkeys(producers) if node and node.op_type == "Conv" and is_linear(node)]


def _names(nodes: Sequence[ir.Node]) -> tuple[str, ...]:
    return tuple(node.name or "" for node in nodes)


Ranges = Mapping[str, tuple[float, float]]
"""The least and largest number that each value of a graph took, by its name."""


class Scheme(Protocol):
    """One way of rounding one graph."""

    @property
    def sites(self) -> Sequence[Site]:
        """Where it rounds."""

    def rounds(self, kept: Collection[Site]) -> bool:
        """Whether anything is rounded at all with these sites in float."""

    def rounded(self, kept: Collection[Site]) -> ir.Model:
        """The rounded graph, with these sites in float; inputs and outputs are those of the float graph."""
