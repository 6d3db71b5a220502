"""Piecewise linear functions of one value: their arithmetic, and the nodes that compute one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from convert.graph.affine import match_scale, match_shift, require_per_channel
from convert.graph.linear import NotExactError
from convert.graph.nodes import get_attribute, get_constant, has_same_shape
from convert.model_io.array import Array

NOISE = 1e-12  # of the largest slope: a smaller bend is rounding in float64
MOST_NODES = 64  # of a region
# Operators that bend at 0, and their slope below it; None where it is an attribute or a constant.
_BENT: dict[str, float | None] = {"Relu": 0.0, "Abs": -1.0, "LeakyRelu": None, "PRelu": None}
_LINES = (*_BENT, "Neg", "Clip", "Mul", "Div", "Add", "Sub", "Max", "Min")


@dataclass(frozen=True, slots=True)
class Piecewise:
    """slopes[i] · x + offsets[i] between knots[i − 1] and knots[i]: continuous, one line more than knots."""

    knots: Array
    slopes: Array
    offsets: Array

    def scale(self, factor: float) -> "Piecewise":
        """factor · f(x)."""
        return Piecewise(self.knots, self.slopes * factor, self.offsets * factor).simplify()

    def shift(self, addend: float) -> "Piecewise":
        """f(x) + addend."""
        return Piecewise(self.knots, self.slopes, self.offsets + addend)

    def add(self, other: "Piecewise") -> "Piecewise":
        """f(x) + g(x)."""
        knots = np.union1d(self.knots, other.knots)
        first, second = self.insert_knots(knots), other.insert_knots(knots)
        return Piecewise(knots, first.slopes + second.slopes, first.offsets + second.offsets).simplify()

    def rectify(self) -> "Piecewise":
        """max(0, f(x))."""
        edges = np.concatenate([[-np.inf], self.knots, [np.inf]])
        crossings = [
            zero
            for slope, offset, low, high in zip(self.slopes, self.offsets, edges[:-1], edges[1:], strict=True)
            if slope != 0 and low < (zero := -offset / slope) < high
        ]
        whole = self.insert_knots(np.union1d(self.knots, crossings))
        above = whole.slopes * _pick_inside(whole.knots) + whole.offsets > 0
        return Piecewise(whole.knots, whole.slopes * above, whole.offsets * above).simplify()

    def insert_knots(self, knots: Array) -> "Piecewise":
        """The same function with these knots, which include its own."""
        lines = np.searchsorted(self.knots, _pick_inside(knots))
        return Piecewise(knots, self.slopes[lines], self.offsets[lines])

    def simplify(self) -> "Piecewise":
        """The same function without the knots at which it does not bend."""
        bends = np.abs(np.diff(self.slopes)) > NOISE * np.abs(self.slopes).max(initial=0.0)
        lines = np.concatenate([[True], bends])
        return Piecewise(self.knots[bends], self.slopes[lines], self.offsets[lines])


IDENTITY = Piecewise(np.zeros(0), np.ones(1), np.zeros(1))


def _pick_inside(knots: Array) -> Array:
    """A number inside each of the intervals between the knots."""
    if not knots.size:
        return np.zeros(1)
    return np.concatenate([[knots[0] - 1], (knots[:-1] + knots[1:]) / 2, [knots[-1] + 1]])


Channels = Sequence[Piecewise]


@dataclass(frozen=True, slots=True)
class Region:
    """The nodes between `variable` and a value that they compute of it; no other node reads theirs."""

    variable: ir.Value
    nodes: tuple[ir.Node, ...]


def find_region(node: ir.Node) -> Region | None:
    """The largest region that ends at this node; None where its value depends on several variables."""
    inside: dict[ir.Node, None] = {}
    frontier: dict[ir.Value, None] = {node.outputs[0]: None}
    region: Region | None = None
    while len(inside) < MOST_NODES:
        value = next((value for value in frontier if _is_inside(value, node, inside)), None)
        if value is None:
            break
        producer = value.producer()
        assert producer is not None
        del frontier[value]
        inside[producer] = None
        operands = (value for value in producer.inputs if value is not None)
        frontier |= dict.fromkeys(operand for operand in operands if get_constant(operand) is None)
        if len(frontier) == 1:
            region = Region(next(iter(frontier)), tuple(inside))
    return region


def _is_inside(value: ir.Value, last: ir.Node, inside: dict[ir.Node, None]) -> bool:
    """True where one of _LINES computes the value, and only the region reads it."""
    producer = value.producer()
    if producer is None or producer.domain or producer.op_type not in _LINES:
        return False
    if producer is last:
        return True
    return not value.is_graph_output() and all(use.node in inside for use in value.uses())


def read_channels(region: Region) -> Channels:
    """The function of each channel, along axis 1. NotExactError where it is not piecewise linear."""
    shape = region.variable.shape
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    if not isinstance(channels, int):
        raise NotExactError("the number of channels is not known")
    return _Reader(region.variable, channels).read(region.nodes[0].outputs[0])


@dataclass
class _Reader:
    """Reads the functions of all channels, each value once."""

    variable: ir.Value
    channels: int
    known: dict[ir.Value, Channels] = field(default_factory=dict)

    def read(self, value: ir.Value) -> Channels:
        if value is self.variable:
            return [IDENTITY] * self.channels
        if value not in self.known:
            node = value.producer()
            if node is None or not has_same_shape(value, self.variable):
                raise NotExactError("a constant may widen the shape of what it meets")
            self.known[value] = self._read_node(node)
        return self.known[value]

    def _read_node(self, node: ir.Node) -> Channels:
        scaled, shifted, first = match_scale(node), match_shift(node), node.inputs[0]
        if scaled is not None:
            return self._map_channels(scaled[0], scaled[1], lambda f, factor: f.scale(factor))
        if shifted is not None:
            return self._map_channels(shifted[0], shifted[1], lambda f, addend: f.shift(addend))
        if node.op_type in _JOINS:
            return self._join(node)
        if first is None or node.op_type not in ("Clip", *_BENT):
            raise NotExactError(f"`{node.op_type}` is not piecewise linear here")
        if node.op_type == "Clip":
            return self._clip(node, first)
        return self._map_channels(first, self._read_left_slope(node), _bend)

    def _read_left_slope(self, node: ir.Node) -> Array:
        """a of f(x) for x >= 0 and a · f(x) below."""
        if node.op_type == "PRelu":
            return self._read_constant(node.inputs[1])
        fixed = _BENT[node.op_type]
        return np.asarray(get_attribute(node, "alpha", 0.01) if fixed is None else fixed)

    def _join(self, node: ir.Node) -> Channels:
        if len(node.inputs) != 2:
            raise NotExactError(f"`{node.op_type}` of {len(node.inputs)} values")
        first, second = (self._read_operand(value) for value in node.inputs)
        return [_JOINS[node.op_type](f, g) for f, g in zip(first, second, strict=True)]

    def _read_operand(self, value: ir.Value | None) -> Channels:
        array = get_constant(value)
        if array is None and value is not None:
            return self.read(value)
        return self._map_channels(
            self.variable, self._read_constant(value), lambda f, level: f.scale(0).shift(level)
        )

    def _clip(self, node: ir.Node, value: ir.Value) -> Channels:
        functions = self.read(value)
        for bound, join in zip(node.inputs[1:], (_maximum, _minimum), strict=False):
            if bound is not None:
                functions = [join(f, g) for f, g in zip(functions, self._read_operand(bound), strict=True)]
        return functions

    def _read_constant(self, value: ir.Value | None) -> Array:
        array = get_constant(value)
        if array is None or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise NotExactError("a slope, bound or addend is not a finite constant")
        return array

    def _map_channels(
        self, value: ir.Value, array: Array, apply: Callable[[Piecewise, float], Piecewise]
    ) -> Channels:
        numbers = require_per_channel(array, self.variable, 1, self.channels)
        return [apply(f, float(number)) for f, number in zip(self.read(value), numbers, strict=True)]


def _bend(f: Piecewise, slope: float) -> Piecewise:
    return f.scale(slope).add(f.rectify().scale(1 - slope))


def _maximum(f: Piecewise, g: Piecewise) -> Piecewise:
    return g.add(f.add(g.scale(-1)).rectify())


def _minimum(f: Piecewise, g: Piecewise) -> Piecewise:
    return f.add(f.add(g.scale(-1)).rectify().scale(-1))


_JOINS: dict[str, Callable[[Piecewise, Piecewise], Piecewise]] = {
    "Add": lambda f, g: f.add(g),
    "Sub": lambda f, g: f.add(g.scale(-1)),
    "Max": _maximum,
    "Min": _minimum,
}
