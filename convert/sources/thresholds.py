"""The numbers at which a graph's trees turn, for each column of its inputs."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from convert.graph.nodes import get_constant
from convert.sources.foreign import LEARNING

MOST_LEVELS = 4096  # of one column
_TREES = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
MOST_COLUMNS = 2**14
DEEPEST = 32  # layers between a tree and an input


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a value: (x − offset) · scale of a column of an input."""

    source: str
    place: int
    offset: float = 0.0
    scale: float = 1.0

    def undo(self, number: float) -> float:
        """The input's number at which the column is `number`."""
        return number / self.scale + self.offset


_Columns = list[_Column | None]
Levels = tuple[tuple[float, ...], ...]
"""The thresholds of each column, ascending."""


def find_thresholds(graph: ir.Model) -> dict[str, Levels]:
    """The thresholds of the graph's trees by input, where layers between them keep the columns.

    Infinite ones, at which a tree asks whether a number is missing, are left out.
    """
    levels: dict[tuple[str, int], set[float]] = defaultdict(set)
    tracer = _Tracer()
    for node in graph.graph:
        branches = list(_list_branches(node))
        columns = tracer.trace(node.inputs[0]) if branches else []
        for place, number in branches:
            column = columns[place] if 0 <= place < len(columns) else None
            if column is not None and math.isfinite(level := column.undo(number)):
                levels[column.source, column.place].add(level)
    widths = {value.name or "": _count_columns(value) for value in graph.graph.inputs}
    return {
        name: tuple(tuple(sorted(levels[name, place])[:MOST_LEVELS]) for place in range(width))
        for name, width in widths.items()
        if any(source == name for source, _ in levels)
    }


def _list_branches(node: ir.Node) -> Iterator[tuple[int, float]]:
    """The column and the threshold of each branch of the node's trees."""
    if node.domain != LEARNING:
        return
    attributes = node.attributes
    if node.op_type in _TREES and "nodes_featureids" in attributes:
        numbers = attributes.get("nodes_values_as_tensor") or attributes["nodes_values"]
        values = _read_numbers(numbers)
        modes = attributes["nodes_modes"].as_strings()
        for place, number, mode in zip(attributes["nodes_featureids"].as_ints(), values, modes, strict=False):
            if mode != "LEAF":
                yield place, number
    elif node.op_type == "TreeEnsemble" and "nodes_splits" in attributes:
        yield from zip(
            attributes["nodes_featureids"].as_ints(), _read_numbers(attributes["nodes_splits"]), strict=False
        )


def _read_numbers(attribute: ir.Attr) -> list[float]:
    if attribute.type == ir.AttributeType.TENSOR:
        return [float(number) for number in attribute.as_tensor().numpy().reshape(-1)]
    return list(attribute.as_floats())


class _Tracer:
    """Where the columns of values come from; each value is looked at once."""

    def __init__(self) -> None:
        self._known: dict[ir.Value, _Columns] = {}

    def trace(self, value: ir.Value | None, depth: int = DEEPEST) -> _Columns:
        """Each column's origin, None where that is not known; empty without columns."""
        if value is None or depth < 0:
            return []
        if value not in self._known:
            self._known[value] = self._trace(value, depth)
        return self._known[value]

    def _trace(self, value: ir.Value, depth: int) -> _Columns:
        node = value.producer()
        if node is None:
            width = _count_columns(value) if get_constant(value) is None else 0
            return [_Column(value.name or "", place) for place in range(min(width, MOST_COLUMNS))]
        if node.op_type in ("Concat", "FeatureVectorizer"):
            return _join([self.trace(part, depth - 1) for part in node.inputs])
        if node.op_type in _CHANGES:
            return _CHANGES[node.op_type](node, self.trace(node.inputs[0], depth - 1))
        return [None] * min(_count_columns(value), MOST_COLUMNS)


def _keep(node: ir.Node, columns: _Columns) -> _Columns:
    return columns


def _join(parts: list[_Columns]) -> _Columns:
    """All columns one after the other; empty where those of a part are not known."""
    if not all(parts) or sum(map(len, parts)) > MOST_COLUMNS:
        return []
    return [column for part in parts for column in part]


def _encode(node: ir.Node, columns: _Columns) -> _Columns:
    """A column for each category, of ones and zeros."""
    tables = ("cats_strings", "cats_int64s")
    return [None] * sum(len(node.attributes[name].value) for name in tables if name in node.attributes)


def _pick(node: ir.Node, columns: _Columns) -> _Columns:
    """The columns at constant places."""
    places = get_constant(node.inputs[1])
    if places is None or not ((places >= 0) & (places < len(columns))).all():
        return []
    return [columns[int(place)] for place in places.reshape(-1)]


def _scale(node: ir.Node, columns: _Columns) -> _Columns:
    """The columns behind a Scaler, which is (x − offset) · scale."""
    offsets, scales = (
        list(node.attributes[name].as_floats()) if name in node.attributes else default
        for name, default in (("offset", [0.0]), ("scale", [1.0]))
    )
    if not columns or not {len(offsets), len(scales)} <= {1, len(columns)}:
        return []
    return [
        _Column(column.source, column.place, column.undo(offset), column.scale * scale)
        if column is not None and column.scale * scale
        else None
        for column, offset, scale in zip(
            columns,
            offsets * (len(columns) // len(offsets)),
            scales * (len(columns) // len(scales)),
            strict=True,
        )
    ]


def _count_columns(value: ir.Value) -> int:
    """The last size; 0 where the graph does not state it, or it is no table."""
    shape = value.shape
    return shape[1] if shape is not None and len(shape) == 2 and isinstance(shape[1], int) else 0


_CHANGES: Mapping[str, Callable[[ir.Node, _Columns], _Columns]] = {
    "Identity": _keep,
    "Cast": _keep,
    "Reshape": _keep,
    "Flatten": _keep,
    "Gather": _pick,
    "ArrayFeatureExtractor": _pick,
    "OneHotEncoder": _encode,
    "Scaler": _scale,
}
"""What layers make of their input's columns, as converters of tables write them."""
