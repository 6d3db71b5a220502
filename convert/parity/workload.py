"""How much work one sample is for a model: what bounds the number of samples that parity generates.

It is counted, not timed, so that a model is judged on the same samples on every machine and every day.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes.common import ShapeInferencePass
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from convert.graph.nodes import attribute
from convert.model_io.inputs import batch_of
from convert.model_io.samples import LARGEST_RUN, example
from convert.parity.verify import Original
from convert.sources.source import Source

OPERATIONS = 512e9
"""Of one run of all generated samples. Parity runs them five times, once in float64: about a minute on one
core, where a ResNet-18 took 0.07 s and a BigVGAN 0.10 s for each 1e9."""
OF_A_NUMBER = 16
"""The operations that writing one number of any tensor counts as: it goes through memory."""
NUMBERS = 2**24
"""Of the largest tensor within the model, for the largest batch: 128 MiB in float64."""
OTHER_ROWS = 9
"""Besides the largest batch: those of one and two samples, and one sample for each of six extremes."""
TRACED = 2  # samples that are counted at once, as in every example
_VIEWS = ("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class Work:
    """Of one sample: its operations, and how many numbers the largest tensor has that it passes through."""

    operations: float
    largest: float


def rows(original: Original, source: Source) -> int:
    """How many samples the largest generated batch may have, as far as their work goes: 1 to LARGEST_RUN.

    Every extreme is one sample, and is not left out however much that is. What stands within a loop is
    not counted, nor, in an ONNX file, what depends on its numbers. Raises ExportError where the model cannot
    be run.
    """
    if source.inputs[0].free_batch is None:
        return LARGEST_RUN  # its size is fixed, so none is chosen
    work = work_of(original, source)
    by_time = OPERATIONS / max(work.operations, 1) - OTHER_ROWS
    return int(min(max(min(by_time, NUMBERS / max(work.largest, 1)), 1), LARGEST_RUN))


def work_of(original: Original, source: Source) -> Work:
    """What one sample costs, of a free batch. Raises ExportError where the model cannot be run."""
    if source.graph is not None:
        return _of_graph(source, source.graph)
    with FlopCounterMode(display=False) as counter, _Sizes() as sizes:
        original.own(example(source.inputs, TRACED))
    operations = counter.get_total_flops() + OF_A_NUMBER * sizes.numbers
    return Work(operations / TRACED, sizes.largest / TRACED)


class _Sizes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's has no annotations
    """Adds up the numbers of every tensor that an operator writes, not of those that it only views.

    Of a `torch.cond` or a loop it counts what comes out, not what is computed within.
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


def _of_graph(source: Source, graph: ir.Model) -> Work:
    sized = graph.clone()
    sizes = batch_of(source.inputs, TRACED)
    for value, spec in zip(sized.graph.inputs, source.inputs, strict=True):
        value.shape = ir.Shape(spec.sized(sizes))
    for node in sized.graph:
        for value in node.outputs:
            value.shape = None
    inferred = ShapeInferencePass()(sized).model
    numbers = [
        _numbers(value) for node in inferred.graph if node.op_type not in _VIEWS for value in node.outputs
    ]
    operations = OF_A_NUMBER * sum(numbers) + sum(_products(node) for node in inferred.graph)
    return Work(operations / TRACED, max(numbers, default=0) / TRACED)


def _sizes(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape in numbers, None where the graph does not say it."""
    if value is None or value.shape is None:
        return None
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    return sizes if len(sizes) == len(value.shape) else None


def _numbers(value: ir.Value | None) -> int:
    sizes = _sizes(value)
    return 0 if sizes is None else prod(sizes)


def _products(node: ir.Node) -> int:
    """Multiplications and additions of a layer; 0 for what only goes through its numbers, and is unknown."""
    data, weight = (_sizes(value) for value in (*node.inputs[:2], None, None)[:2])
    if data is None or weight is None:
        return 0
    if node.op_type == "Conv":
        return 2 * _numbers(node.outputs[0]) * prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return 2 * prod(data) * prod(weight[1:])
    if node.op_type in ("MatMul", "Gemm") and data:
        inner = data[0] if attribute(node, "transA", 0) else data[-1]
        return 2 * _numbers(node.outputs[0]) * inner
    return 0
