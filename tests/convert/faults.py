"""Faults to plant in a graph as the exporter writes it: what can go wrong between a model and its file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from convert.graph.nodes import get_constant, get_layer_name

Array = np.ndarray[Any, np.dtype[Any]]
Plant = Callable[[ir.Model], None]


@dataclass(frozen=True)
class Fault:
    """What is done to the graph, and the layers at one of which the file then first differs from the model.

    There are several where a rule moves what lies there into another layer.
    """

    name: str
    plant: Plant
    layers: tuple[str, ...]


def _change_initialiser(name: str, change: Callable[[Array], Array]) -> Plant:
    """The initialiser of this name holds other numbers."""

    def plant(model: ir.Model) -> None:
        value = model.graph.initializers[name]
        assert value.const_value is not None
        changed = change(value.const_value.numpy().copy()).astype(value.const_value.numpy().dtype)
        assert not np.array_equal(changed, value.const_value.numpy())
        value.const_value = ir.tensor(changed, name=name)

    return plant


def _scale_median(factor: float) -> Callable[[Array], Array]:
    """The number of median size, off by a factor."""

    def change(numbers: Array) -> Array:
        order = np.abs(numbers).reshape(-1).argsort()
        numbers.reshape(-1)[order[len(order) // 2]] *= factor
        return numbers

    return change


def _exchange(axis: int) -> Callable[[Array], Array]:
    """The first two places along an axis, each where the other was."""
    return lambda numbers: np.take(numbers, [1, 0, *range(2, numbers.shape[axis])], axis)


def find_node(model: ir.Model, operator: str, layer: str) -> ir.Node:
    """The first node of this operator in this layer, but for the products with 1 that torch writes."""
    nodes = (node for node in model.graph if node.op_type == operator and layer in get_layer_name(node))
    return next(node for node in nodes if not _multiplies_by_one(node))


def _multiplies_by_one(node: ir.Node) -> bool:
    constants = [constant for value in node.inputs if (constant := get_constant(value)) is not None]
    return node.op_type == "Mul" and any((constant == 1).all() for constant in constants)


def _change_operator(layer: str, before: str, after: str, **attributes: float) -> Plant:
    """Another operator in the place of the first of its kind in a layer."""

    def plant(model: ir.Model) -> None:
        found = find_node(model, before, layer)
        found.op_type = after
        for name, value in attributes.items():
            found.attributes[name] = ir.AttrFloat32(name, value)

    return plant


def _swap_inputs(layer: str, operator: str) -> Plant:
    """The inputs of a node in the other order."""

    def plant(model: ir.Model) -> None:
        found = find_node(model, operator, layer)
        first, second = found.inputs
        found.replace_input_with(0, second)
        found.replace_input_with(1, first)

    return plant


def _skip_node(layer: str, operator: str, place: int = 0) -> Plant:
    """What comes after a node reads its input instead."""

    def plant(model: ir.Model) -> None:
        found = find_node(model, operator, layer)
        value = found.inputs[place]
        assert value is not None
        ir.convenience.replace_all_uses_with(found.outputs[0], value)

    return plant


def _change_constant(layer: str, operator: str, place: int, change: Callable[[Array], Array]) -> Plant:
    """Other numbers where a node of a layer reads a constant, and nowhere else."""

    def plant(model: ir.Model) -> None:
        found = find_node(model, operator, layer)
        old = found.inputs[place]
        assert old is not None
        assert old.const_value is not None
        numbers = change(old.const_value.numpy().copy()).astype(np.float32)
        tensor = ir.tensor(numbers, name=f"{old.name}_planted")
        value = ir.Value(name=tensor.name, shape=old.shape, type=old.type, const_value=tensor)
        model.graph.register_initializer(value)
        found.replace_input_with(place, value)

    return plant


def _change_pads(layer: str, pads: tuple[int, ...]) -> Plant:
    def plant(model: ir.Model) -> None:
        find_node(model, "Conv", layer).attributes["pads"] = ir.AttrInt64s("pads", pads)

    return plant


def _round_to_half(numbers: Array) -> Array:
    return numbers.astype(np.float16)


FAULTS = (
    *(
        Fault(
            f"one number of {layer}.{part} a hundredth off",
            _change_initialiser(f"{layer}.{part}", _scale_median(1.01)),
            (layer,),
        )
        for layer in ("left", "right", "wide", "narrow", "hidden", "head")
        for part in ("weight", "bias")
    ),
    Fault("one weight a thousandth off", _change_initialiser("head.weight", _scale_median(1.001)), ("head",)),
    Fault(
        "a weight that is one with a normalisation",
        _change_initialiser("stem.weight", _scale_median(1.01)),
        ("norm",),
    ),
    Fault("a normalisation's shift", _change_initialiser("stem.bias", _scale_median(1.01)), ("norm",)),
    Fault("a weight's sign", _change_initialiser("wide.weight", _scale_median(-1)), ("wide",)),
    Fault(
        "weights rounded to half precision", _change_initialiser("narrow.weight", _round_to_half), ("narrow",)
    ),
    Fault("output channels exchanged", _change_initialiser("right.weight", _exchange(0)), ("right",)),
    Fault("input channels exchanged", _change_initialiser("left.weight", _exchange(1)), ("left",)),
    Fault("classes exchanged", _change_initialiser("head.weight", _exchange(0)), ("head",)),
    Fault(
        "a kernel mirrored", _change_initialiser("wide.weight", lambda numbers: numbers[..., ::-1]), ("wide",)
    ),
    Fault("a slope a hundredth off", _change_constant("bend", "Mul", 0, _scale_median(1.01)), ("bend",)),
    Fault("slopes in the wrong order", _change_constant("bend", "Mul", 0, lambda a: a[::-1]), ("bend",)),
    Fault("a slope's sign", _change_constant("last", "Mul", 0, _scale_median(-1)), ("last",)),
    Fault("a learned width", _change_constant("curve", "Div", 1, _scale_median(1.01)), ("curve",)),
    Fault("a learned height", _change_constant("curve", "Mul", 0, _scale_median(1.01)), ("curve", "pool")),
    Fault("a learned steepness", _change_constant("soft", "Mul", 0, _scale_median(1.01)), ("soft",)),
    Fault("a swapped difference", _swap_inputs("node_sub", "Sub"), ("curve", "left", "right", "node_sub_8")),
    Fault("swapped branches", _swap_inputs("node_cat", "Concat"), ("node_cat",)),
    Fault(
        "a sum for a difference",
        _change_operator("node_sub", "Sub", "Add"),
        ("curve", "left", "right", "node_sub_8"),
    ),
    Fault("another activation", _change_operator("curve", "Elu", "Selu"), ("curve",)),
    Fault("another gate", _change_operator("soft", "Sigmoid", "HardSigmoid"), ("soft",)),
    Fault(
        "a wrong constant of an activation", _change_operator("curve", "Elu", "Elu", alpha=1.01), ("curve",)
    ),
    Fault("the smaller for the larger", _change_operator("bend", "Min", "Max"), ("bend",)),
    Fault("an activation left out", _skip_node("last", "Add", 0), ("last",)),
    Fault("a height left out", _skip_node("curve", "Mul", 1), ("curve", "pool")),
    Fault("a picture moved by a pixel", _change_pads("wide", (2, 2, 0, 0)), ("wide",)),
)
