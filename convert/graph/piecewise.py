"""Piecewise linear functions of one value: their arithmetic, and the part of a graph that computes one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from convert.graph.affine import per_channel, scale_of, shift_of
from convert.graph.linear import NotExactError
from convert.graph.nodes import Array, attribute, constant, same_shape

NOISE = 1e-12  # of the largest slope: what rounding in float64 leaves of a bend that is none


@dataclass(frozen=True, slots=True)
class Piecewise:
    """slopes[i] · x + offsets[i] between knots[i − 1] and knots[i]: continuous, one more line than knots."""

    knots: Array
    slopes: Array
    offsets: Array

    def scaled(self, factor: float) -> "Piecewise":
        """factor · f(x)."""
        return Piecewise(self.knots, self.slopes * factor, self.offsets * factor).simplest()

    def shifted(self, addend: float) -> "Piecewise":
        """f(x) + addend."""
        return Piecewise(self.knots, self.slopes, self.offsets + addend)

    def plus(self, other: "Piecewise") -> "Piecewise":
        """f(x) + g(x)."""
        knots = np.union1d(self.knots, other.knots)
        one, two = (each.at_knots(knots) for each in (self, other))
        return Piecewise(knots, one.slopes + two.slopes, one.offsets + two.offsets).simplest()

    def rectified(self) -> "Piecewise":
        """max(0, f(x))."""
        edges = np.concatenate([[-np.inf], self.knots, [np.inf]])
        crossings = [
            zero
            for slope, offset, low, high in zip(self.slopes, self.offsets, edges[:-1], edges[1:], strict=True)
            if slope != 0 and low < (zero := -offset / slope) < high
        ]
        whole = self.at_knots(np.union1d(self.knots, crossings))
        above = whole.slopes * _within(whole.knots) + whole.offsets > 0
        return Piecewise(whole.knots, whole.slopes * above, whole.offsets * above).simplest()

    def at_knots(self, knots: Array) -> "Piecewise":
        """The same function with at least these knots, which hold its own."""
        lines = np.searchsorted(self.knots, _within(knots))
        return Piecewise(knots, self.slopes[lines], self.offsets[lines])

    def simplest(self) -> "Piecewise":
        """The same function without the knots at which it does not bend."""
        bends = np.abs(np.diff(self.slopes)) > NOISE * np.abs(self.slopes).max(initial=0.0)
        kept = np.concatenate([[True], bends])
        return Piecewise(self.knots[bends], self.slopes[kept], self.offsets[kept])


IDENTITY = Piecewise(np.zeros(0), np.ones(1), np.zeros(1))


def _within(knots: Array) -> Array:
    """A number inside of each of the intervals that the knots part."""
    if not knots.size:
        return np.zeros(1)
    return np.concatenate([[knots[0] - 1], (knots[:-1] + knots[1:]) / 2, [knots[-1] + 1]])


# Operators that bend at 0, and the slope that they give to what lies below it.
_BENT: dict[str, float | None] = {"Relu": 0.0, "Abs": -1.0, "LeakyRelu": None, "PRelu": None}
_LINES = (*_BENT, "Neg", "Clip", "Mul", "Div", "Add", "Sub", "Max", "Min")
MOST_NODES = 64
Channels = Sequence[Piecewise]


@dataclass(frozen=True, slots=True)
class Region:
    """The nodes between `variable` and the value that they compute of it, which nothing else reads."""

    variable: ir.Value
    nodes: tuple[ir.Node, ...]


def region_of(node: ir.Node) -> Region | None:
    """The largest such part that ends at this node, None where it rests on several values."""
    inside: dict[ir.Node, None] = {}
    frontier: dict[ir.Value, None] = {node.outputs[0]: None}
    found: Region | None = None
    while len(inside) < MOST_NODES:
        value = next((each for each in frontier if _opens(each, node, inside)), None)
        if value is None:
            break
        producer = value.producer()
        assert producer is not None
        del frontier[value]
        inside[producer] = None
        frontier |= dict.fromkeys(
            each for each in producer.inputs if each is not None and constant(each) is None
        )
        if len(frontier) == 1:
            found = Region(next(iter(frontier)), tuple(inside))
    return found


def _opens(value: ir.Value, last: ir.Node, inside: dict[ir.Node, None]) -> bool:
    """True where what computes the value is one of the operators, and read within the region only."""
    producer = value.producer()
    if producer is None or producer.domain or producer.op_type not in _LINES:
        return False
    if producer is last:
        return True
    return not value.is_graph_output() and all(use.node in inside for use in value.uses())


def channels_of(region: Region) -> Channels:
    """The function of each channel, along axis 1. NotExactError where one is not piecewise linear."""
    shape = region.variable.shape
    channels = shape[1] if shape is not None and len(shape) > 1 else None
    if not isinstance(channels, int):
        raise NotExactError("the number of channels is not known")
    return _Reader(region.variable, channels).read(region.nodes[0].outputs[0])


@dataclass
class _Reader:
    variable: ir.Value
    channels: int
    known: dict[ir.Value, Channels] = field(default_factory=dict)

    def read(self, value: ir.Value) -> Channels:
        if value is self.variable:
            return [IDENTITY] * self.channels
        if value not in self.known:
            node = value.producer()
            if node is None or not same_shape(value, self.variable):
                raise NotExactError("a constant may widen the shape of what it meets")
            self.known[value] = self._computed(node)
        return self.known[value]

    def _computed(self, node: ir.Node) -> Channels:
        scaled, shifted, first = scale_of(node), shift_of(node), node.inputs[0]
        if scaled is not None:
            return self._each(scaled[0], scaled[1], lambda f, factor: f.scaled(factor))
        if shifted is not None:
            return self._each(shifted[0], shifted[1], lambda f, addend: f.shifted(addend))
        if node.op_type in _JOINS:
            return self._joined(node)
        if first is None or node.op_type not in ("Clip", *_BENT):
            raise NotExactError(f"`{node.op_type}` is not piecewise linear here")
        if node.op_type == "Clip":
            return self._clipped(node, first)
        return self._each(first, self._left_slope(node), _leaky)

    def _left_slope(self, node: ir.Node) -> Array:
        """a of f(x) for x >= 0 and a · f(x) below."""
        if node.op_type == "PRelu":
            return self._constant(node.inputs[1])
        fixed = _BENT[node.op_type]
        return np.asarray(attribute(node, "alpha", 0.01) if fixed is None else fixed)

    def _joined(self, node: ir.Node) -> Channels:
        if len(node.inputs) != 2:
            raise NotExactError(f"`{node.op_type}` of {len(node.inputs)} values")
        one, two = (self._side(value) for value in node.inputs)
        return [_JOINS[node.op_type](f, g) for f, g in zip(one, two, strict=True)]

    def _side(self, value: ir.Value | None) -> Channels:
        array = constant(value)
        if array is None and value is not None:
            return self.read(value)
        return self._each(self.variable, self._constant(value), lambda f, level: f.scaled(0).shifted(level))

    def _clipped(self, node: ir.Node, value: ir.Value) -> Channels:
        functions = self.read(value)
        for bound, join in zip(node.inputs[1:], (_larger, _smaller), strict=False):
            if bound is not None:
                functions = [join(f, g) for f, g in zip(functions, self._side(bound), strict=True)]
        return functions

    def _constant(self, value: ir.Value | None) -> Array:
        array = constant(value)
        if array is None or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise NotExactError("a slope, bound or addend is not a finite constant")
        return array

    def _each(
        self, value: ir.Value, array: Array, apply: Callable[[Piecewise, float], Piecewise]
    ) -> Channels:
        numbers = per_channel(array, self.variable, 1, self.channels)
        return [apply(f, float(number)) for f, number in zip(self.read(value), numbers, strict=True)]


def _leaky(f: Piecewise, slope: float) -> Piecewise:
    return f.scaled(slope).plus(f.rectified().scaled(1 - slope))


def _larger(f: Piecewise, g: Piecewise) -> Piecewise:
    return g.plus(f.plus(g.scaled(-1)).rectified())


def _smaller(f: Piecewise, g: Piecewise) -> Piecewise:
    return f.plus(f.plus(g.scaled(-1)).rectified().scaled(-1))


_JOINS: dict[str, Callable[[Piecewise, Piecewise], Piecewise]] = {
    "Add": lambda f, g: f.plus(g),
    "Sub": lambda f, g: f.plus(g.scaled(-1)),
    "Max": _larger,
    "Min": _smaller,
}
