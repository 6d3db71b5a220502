"""How the values of a graph are distributed on calibration data, measured while it runs, in little memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.precision.sites import is_linear

NUMBERS = 2**16
"""The numbers of each value that are kept, of all batches together."""
LEAST_NUMBERS = 64  # of a batch, where there are very many
ROWS = 512
"""The rows of a value that are kept."""
_PLACES = "adaptact.places"
_FLAT = "adaptact.flat"
_FIRST = "adaptact.first"


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one value was on the data.

    `numbers` are drawn at random, `count` is how many there were, `means` the mean of each channel, for the
    inputs of layers with constant weights; None for other values.
    """

    low: float
    high: float
    numbers: Array
    count: int
    means: Array | None = None


Distributions = Mapping[str, Distribution]
"""The distributions of values by their names."""


def measure_distributions(
    model: ir.Model,
    names: Sequence[str],
    sets: Sequence[SampleSet],
    on_progress: Callable[[int], None] = lambda done: None,
) -> Distributions:
    """The distribution of each named float32 value of the graph.

    Minima, maxima, means and the numbers that are kept are computed inside the graph, so that no value is
    held as a whole. `on_progress` is called with the number of batches that have been run.
    """
    proto = onnx.load_model_from_string(serialise(model))
    readers = _find_mean_operators(model, names)
    inputs = [value.name for value in proto.graph.input]
    for number, name in enumerate(names):
        _observe(proto.graph, name, number, readers.get(name))
    session = _open(proto, inputs)
    generator = np.random.default_rng(0)
    kept = max(LEAST_NUMBERS, NUMBERS // max(len(sets), 1))
    parts: list[Mapping[str, Array]] = []
    for done, samples in enumerate(sets, 1):
        run = session.run((*samples.arrays, generator.random(kept)))
        parts.append({name: value for name, value in run.items() if name.startswith("adaptact.")})
        on_progress(done)
    return {name: _join(parts, number) for number, name in enumerate(names)}


def measure_rows(model: ir.Model, names: Sequence[str], samples: SampleSet) -> dict[str, Array]:
    """ROWS rows of each named value, [rows, channels], drawn at random; the last axis is that of channels."""
    proto = onnx.load_model_from_string(serialise(model))
    inputs = [value.name for value in proto.graph.input]
    for number, name in enumerate(names):
        at = f"adaptact.{number}."
        flatten = helper.make_node("Flatten", [name], [f"{at}flat"], axis=-1)
        proto.graph.node.extend([flatten, *_draw(at)])
        proto.graph.output.append(helper.make_tensor_value_info(f"{at}numbers", TensorProto.FLOAT, None))
    places = np.random.default_rng(0).random(ROWS)
    run = _open(proto, inputs).run((*samples.arrays, places))
    return {name: run[f"adaptact.{number}.numbers"] for number, name in enumerate(names)}


def _open(proto: onnx.ModelProto, inputs: Sequence[str]) -> Session:
    """The graph with what the nodes that observe it read; its last input are places from 0 to 1."""
    proto.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), _FLAT))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), _FIRST))
    proto.graph.input.append(helper.make_tensor_value_info(_PLACES, TensorProto.DOUBLE, [None]))
    return Session(proto.SerializeToString(), [*inputs, _PLACES])


def _draw(at: str) -> list[onnx.NodeProto]:
    """The nodes that take `numbers` of `flat` at the places, along its first axis."""
    return [
        helper.make_node("Shape", [f"{at}flat"], [f"{at}shape"]),
        helper.make_node("Gather", [f"{at}shape", _FIRST], [f"{at}count"]),
        helper.make_node("Cast", [f"{at}count"], [f"{at}real"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", [_PLACES, f"{at}real"], [f"{at}place"]),
        helper.make_node("Cast", [f"{at}place"], [f"{at}index"], to=TensorProto.INT64),
        helper.make_node("Gather", [f"{at}flat", f"{at}index"], [f"{at}numbers"]),
    ]


def _find_mean_operators(model: ir.Model, names: Sequence[str]) -> dict[str, str]:
    """The operator that brings a value to one number for a channel and sample, where it is known.

    `Einsum` stands for the sum of all rows.
    """
    wanted, operators = set(names), {"Conv": "GlobalAveragePool", "Gemm": "Identity", "MatMul": "Einsum"}
    return {
        node.inputs[0].name: operators[node.op_type]
        for node in model.graph
        if node.op_type in operators and is_linear(node) and node.inputs[0] and node.inputs[0].name in wanted
    }


def _observe(graph: onnx.GraphProto, name: str, number: int, mean: str | None) -> None:
    """Add the outputs that tell of the value."""
    at = f"adaptact.{number}."
    nodes = [
        helper.make_node("Reshape", [name, _FLAT], [f"{at}flat"]),
        helper.make_node("ReduceMin", [f"{at}flat"], [f"{at}low"], keepdims=0),
        helper.make_node("ReduceMax", [f"{at}flat"], [f"{at}high"], keepdims=0),
        *_draw(at),
    ]
    kinds = dict.fromkeys(("low", "high", "numbers"), TensorProto.FLOAT) | {"count": TensorProto.INT64}
    if mean == "Einsum":
        nodes.append(helper.make_node("Flatten", [name], [f"{at}rows"], axis=-1))
        nodes.append(helper.make_node("Einsum", [f"{at}rows"], [f"{at}sums"], equation="rc->c"))
        kinds["sums"] = TensorProto.FLOAT
    elif mean is not None:
        nodes.append(helper.make_node(mean, [name], [f"{at}means"]))
        kinds["means"] = TensorProto.FLOAT
    graph.node.extend(nodes)
    outputs = [helper.make_tensor_value_info(f"{at}{key}", kind, None) for key, kind in kinds.items()]
    graph.output.extend(outputs)


def _join(parts: Sequence[Mapping[str, Array]], number: int) -> Distribution:
    at = f"adaptact.{number}."
    count = sum(int(part[f"{at}count"]) for part in parts)
    means = None
    if f"{at}means" in parts[0]:
        rows = [part[f"{at}means"] for part in parts]
        means = np.concatenate([row.reshape(row.shape[:2]) for row in rows]).mean(0, dtype=np.float64)
    elif f"{at}sums" in parts[0]:
        sums = np.sum([part[f"{at}sums"] for part in parts], axis=0, dtype=np.float64)
        means = sums * sums.size / max(count, 1)
    return Distribution(
        low=min(float(part[f"{at}low"]) for part in parts),
        high=max(float(part[f"{at}high"]) for part in parts),
        numbers=np.concatenate([part[f"{at}numbers"] for part in parts]),
        count=count,
        means=means,
    )
