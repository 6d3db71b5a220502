"""Floats of 16 bits, for GPUs: inputs, outputs and numbers that 16 bits cannot hold stay float32.

Which of an operator's inputs may be half is read from the ONNX standard itself. Constants that round badly
and values that left the range of half on the samples keep their operators in float32, and are named.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir

from convert.graph.nodes import get_constant, get_layer_name
from convert.model_io.array import Array
from convert.precision.sites import Ranges, RoundingSite

LARGEST_HALF = float(np.finfo(np.float16).max)
MARGIN = 0.5
"""Values beyond this share of half's range count as outside: other data reach further than the samples."""
COARSEST = 2.0**-10
"""The largest rounding of a constant, over its largest number: below half's normal range it grows."""

_HALF = "tensor(float16)"
# Their type is in an attribute, they draw random numbers, or they hold graphs of their own.
_LEFT = frozenset(
    {
        *("Cast", "CastLike", "ConstantOfShape", "EyeLike", "Range", "QuantizeLinear", "DequantizeLinear"),
        *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli"),
        *("Multinomial", "If", "Loop", "Scan", "SequenceMap", "CumSum", "Resize", "RoiAlign"),
    }
)


@dataclass(frozen=True, slots=True)
class UnfitLayer:
    """A layer that half cannot hold, and why."""

    layer: str
    kind: str
    reason: str


class HalfScheme:
    """Rounds to 16-bit floats wherever the graph allows it."""

    def __init__(
        self, model: ir.Model, sites: Sequence[RoundingSite], ranges: Ranges, kinds: Mapping[str, str]
    ) -> None:
        self.sites = sites
        self.ranges_by = None
        self._model = model
        self._kinds = kinds
        self._opset = model.opset_imports[""]
        self._float = {
            node.name or "": reason for node in model.graph if (reason := _find_misfit(node, ranges))
        }

    @property
    def unfit(self) -> tuple[UnfitLayer, ...]:
        """The layers that stay in float32 whatever the gate says."""
        unfit: dict[str, UnfitLayer] = {}
        for node in self._model.graph:
            if node.name in self._float:
                layer = get_layer_name(node)
                kind = self._kinds.get(layer) or node.op_type
                unfit.setdefault(layer, UnfitLayer(layer, kind, self._float[node.name]))
        return tuple(unfit.values())

    def is_rounding(self, kept: Collection[RoundingSite]) -> bool:
        """Whether anything is rounded with these sites in float."""
        return bool(self._pick_nodes(kept, self._model))

    def round(self, kept: Collection[RoundingSite]) -> ir.Model:
        """The graph in half; the float graph is left as it is."""
        graph = self._model.clone()
        _Narrowing(graph, self._pick_nodes(kept, graph), self._opset).apply()
        return graph

    def _pick_nodes(self, kept: Collection[RoundingSite], graph: ir.Model) -> list[ir.Node]:
        wide = {name for site in kept for name in (site.between if site.has_activation else site.readers)}
        wide |= self._float.keys()
        return [node for node in graph.graph if node.name not in wide and _can_be_half(node, self._opset)]


def _find_misfit(node: ir.Node, ranges: Ranges) -> str:
    """Why half cannot hold the node's numbers; empty where it can."""
    for value in (*node.inputs, *node.outputs):
        if value is None or value.dtype != ir.DataType.FLOAT:
            continue
        numbers = get_constant(value)
        reason = _check_constant(numbers) if numbers is not None else _check_range(value.name or "", ranges)
        if reason:
            return reason
    return ""


def _check_constant(numbers: Array) -> str:
    numbers = numbers[np.isfinite(numbers)]  # half holds the others as they are
    largest = float(np.abs(numbers).max(initial=0))
    if not largest:
        return ""
    if largest > LARGEST_HALF:
        return f"a constant of {largest:.3g}, and half ends at {LARGEST_HALF:g}"
    error = float(np.abs(numbers.astype(np.float16).astype(np.float64) - numbers).max()) / largest
    return f"a constant of {largest:.3g}, which half rounds by {error:.1%}" if error > COARSEST else ""


def _check_range(name: str, ranges: Ranges) -> str:
    largest = max((abs(limit) for limit in ranges.get(name, (0.0, 0.0))), default=0.0)
    if largest > MARGIN * LARGEST_HALF:
        return f"numbers up to {largest:.3g} on the samples, and half ends at {LARGEST_HALF:g}"
    return ""


def _can_be_half(node: ir.Node, opset: int) -> bool:
    """Whether the standard lets the node compute in half, and its data are floats."""
    if node.domain or node.op_type in _LEFT or not node.outputs:
        return False
    outputs = [value for value in node.outputs if value.dtype == ir.DataType.FLOAT]
    slots = _find_half_slots(node, opset)
    return bool(outputs) and all(slots.get(id(value), False) for value in outputs)


def _find_half_slots(node: ir.Node, opset: int) -> Mapping[int, bool]:
    """Whether the operator's schema lets each input and output be half, by the value's `id`."""
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    allowed = {
        constraint.type_param_str: constraint.allowed_type_strs for constraint in schema.type_constraints
    }
    slots: dict[int, bool] = {}
    for values, formals in ((node.inputs, schema.inputs), (node.outputs, schema.outputs)):
        for place, value in enumerate(values):
            if value is not None:
                formal = formals[min(place, len(formals) - 1)]
                half = _HALF in allowed.get(formal.type_str, [formal.type_str])
                slots[id(value)] = slots.get(id(value), True) and half
    return slots


class _Narrowing:
    """Turns nodes of a graph to half, with a Cast wherever a value goes in or out."""

    def __init__(self, model: ir.Model, nodes: Sequence[ir.Node], opset: int) -> None:
        self._graph = model.graph
        self._nodes = nodes
        self._chosen = set(nodes)
        self._opset = opset
        self._narrow: dict[ir.Value, ir.Value] = {}
        values = (*model.graph.inputs, *(value for node in model.graph.all_nodes() for value in node.outputs))
        self._names = {value.name for value in values} | set(model.graph.initializers)

    def apply(self) -> None:
        for node in self._nodes:
            slots = _find_half_slots(node, self._opset)
            for place, value in enumerate(node.inputs):
                if value is not None and value.dtype == ir.DataType.FLOAT and slots[id(value)]:
                    node.replace_input_with(place, self._half_of(value))
            for value in node.outputs:
                if value.dtype == ir.DataType.FLOAT:
                    self._widen(value, node)
        for name, value in list(self._graph.initializers.items()):
            if not list(value.uses()) and not value.is_graph_output() and not value.is_graph_input():
                self._graph.initializers.pop(name)

    def _half_of(self, value: ir.Value) -> ir.Value:
        if value not in self._narrow:
            numbers = get_constant(value)
            if numbers is not None:
                self._narrow[value] = self._initializer(self._name(value, "half"), numbers.astype(np.float16))
            else:
                cast = self._cast(value, ir.DataType.FLOAT16, "half")
                producer = value.producer()
                if producer is not None:
                    self._graph.insert_after(producer, cast)
                else:
                    self._graph.insert_before(self._graph[0], cast)
                self._narrow[value] = cast.outputs[0]
        return self._narrow[value]

    def _widen(self, value: ir.Value, node: ir.Node) -> None:
        """`value` is half from here on; nodes that read it as a float read a Cast of it."""
        uses = [
            (node, place)
            for node, place in value.uses()
            if node not in self._chosen or not _find_half_slots(node, self._opset)[id(value)]
        ]
        was_output, name = value.is_graph_output(), value.name
        value.type = ir.TensorType(ir.DataType.FLOAT16)
        if not uses and not was_output:
            return
        cast = self._cast(value, ir.DataType.FLOAT, "float")
        self._graph.insert_after(node, cast)
        for reader, place in uses:
            reader.replace_input_with(place, cast.outputs[0])
        if was_output:
            self._graph.outputs[self._graph.outputs.index(value)] = cast.outputs[0]
            value.name, cast.outputs[0].name = self._name(value, "half"), name

    def _cast(self, value: ir.Value, to: ir.DataType, suffix: str) -> ir.Node:
        cast = ir.node("Cast", [value], {"to": int(to)}, name=f"{value.name}_to_{suffix}")
        result = cast.outputs[0]
        result.name, result.shape, result.type = self._name(value, suffix), value.shape, ir.TensorType(to)
        return cast

    def _name(self, value: ir.Value, suffix: str) -> str:
        """A name that no value of the graph has."""
        name = f"{value.name}_{suffix}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def _initializer(self, name: str, numbers: Array) -> ir.Value:
        tensor = ir.tensor(numbers, name=name)
        value = ir.Value(
            name=name,
            shape=ir.Shape(list(numbers.shape)),
            type=ir.TensorType(tensor.dtype),
            const_value=tensor,
        )
        self._graph.register_initializer(value)
        return value
