"""The work that one sample takes, which bounds the number of samples that parity generates.

It is counted, not timed: a model is judged on the same samples on every machine and every day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import ShapeInferencePass
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from convert.graph.nodes import get_attribute
from convert.model_io.inputs import InputSpec, assign_batch
from convert.model_io.patterns import IntegerRange
from convert.model_io.samples import LARGEST_RUN, count_other_rows, make_example
from convert.parity.verify import Original
from convert.sources.source import Source

OPERATIONS = 512e9
"""The most operations of one run of all generated samples. Parity runs them five times, once in float64:
about a minute on one core, where a ResNet-18 took 0.07 s and a BigVGAN 0.10 s for each 1e9."""
OF_A_NUMBER = 16
"""The operations that one number written to memory counts as."""
NUMBERS = 2**24
"""The most numbers of one tensor within the model, for the largest batch: 128 MiB in float64."""
TRACED = 2  # samples that are counted at once, as in every example
_VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class Work:
    """The operations that one sample takes, and how many numbers its largest tensor has."""

    operations: float
    largest: float


def count_rows(work: Work, inputs: Sequence[InputSpec], ranges: Mapping[str, IntegerRange]) -> int:
    """How many samples the largest generated batch may have by their work: 1 to LARGEST_RUN.

    No extreme is ever left out, whatever it costs; `ranges` are those of whole numbers.
    """
    if inputs[0].free_batch is None:
        return LARGEST_RUN  # its size is fixed, so none is chosen
    by_time = OPERATIONS / max(work.operations, 1) - count_other_rows(inputs, ranges)
    return int(min(max(min(by_time, NUMBERS / max(work.largest, 1)), 1), LARGEST_RUN))


def measure_work(original: Original, source: Source) -> Work:
    """The work of one sample.

    Operations within a loop are not counted, nor, in an ONNX file, those whose shape depends on numbers.
    Raises ExportError where the model cannot be run.
    """
    if source.graph is not None:
        return _measure_graph(source, source.graph)
    with FlopCounterMode(display=False) as counter, SizeCounter() as sizes:
        original.run_float32(make_example(source.inputs, TRACED))
    operations = counter.get_total_flops() + OF_A_NUMBER * sizes.numbers
    traced = _count_traced(source.inputs)
    return Work(operations / traced, sizes.largest / traced)


def _count_traced(inputs: Sequence[InputSpec]) -> int:
    """The samples that are counted at once: TRACED, or those of a fixed batch."""
    sizes = inputs[0].fill_sizes(assign_batch(inputs, TRACED))
    return sizes[0] if sizes else 1


class SizeCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Adds up the numbers of every tensor that an operator writes; views are not counted.

    Of a `torch.cond` or a loop it counts the results, not what is computed within.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numbers = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        values = result if isinstance(result, tuple | list) else (result,)
        for value in () if getattr(func, "is_view", False) else values:
            if isinstance(value, torch.Tensor):
                self.numbers += value.numel()
                self.largest = max(self.largest, value.numel())
        return result


def _measure_graph(source: Source, graph: ir.Model) -> Work:
    sized = graph.clone()
    sizes = assign_batch(source.inputs, TRACED)
    for value, spec in zip(sized.graph.inputs, source.inputs, strict=True):
        value.shape = ir.Shape(spec.fill_sizes(sizes))
    for node in sized.graph:
        for value in node.outputs:
            value.shape = None
    inferred = ShapeInferencePass()(sized).model
    numbers = [
        _count_numbers(value)
        for node in inferred.graph
        if node.op_type not in _VIEWS
        for value in node.outputs
    ]
    operations = OF_A_NUMBER * sum(numbers) + sum(_count_products(node) for node in inferred.graph)
    traced = _count_traced(source.inputs)
    return Work(operations / traced, max(numbers, default=0) / traced)


def _read_sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape as numbers; None where the graph does not state it."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    return sizes if len(sizes) == len(value.shape) else None


def _count_numbers(value: ir.Value | None) -> int:
    sizes = _read_sizes(value)
    return 0 if sizes is None else prod(sizes)


def _count_products(node: ir.Node) -> int:
    """The multiplications and additions of a layer; 0 for other operators and for unknown shapes."""
    data, weight = (_read_sizes(value) for value in (*node.inputs[:2], None, None)[:2])
    if data is None or weight is None:
        return 0
    if node.op_type == "Conv":
        return 2 * _count_numbers(node.outputs[0]) * prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return 2 * prod(data) * prod(weight[1:])
    if node.op_type in ("MatMul", "Gemm") and data:
        inner = data[0] if get_attribute(node, "transA", 0) else data[-1]
        return 2 * _count_numbers(node.outputs[0]) * inner
    return 0
