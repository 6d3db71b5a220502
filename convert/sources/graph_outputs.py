"""The outputs of an ONNX graph: what they must be, and their sizes, where it states none, or wrong ones."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx_ir as ir

from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import make_example
from convert.sources.bounds import build_error

BATCHES = (2, 3)


def require_computed_tensors(graph: ir.Model, path: Path) -> None:
    """Raises SourceError unless every output is a tensor that the graph computes, and there is one."""
    if not graph.graph.outputs:
        raise build_error(path, "has no output")
    for value in graph.graph.outputs:
        if value.is_graph_input():
            raise build_error(path, f"gives its input `{value.name}` as an output, under the same name")
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            raise build_error(path, f"has the output `{value.name}`, which is not a tensor")


def correct_outputs(graph: ir.Model, session: Session, inputs: Sequence[InputSpec]) -> None:
    """Every output's free sizes have names, and its fixed sizes are those of two runs, of BATCHES samples.

    A converter may leave a size nameless, or state the 1 of the sample that it saw. A first size that is the
    batch has its name. Raises ExportError where the graph does not run.
    """
    batch = inputs[0].free_batch
    if all(_is_stated(value, batch) for value in graph.graph.outputs):
        return
    runs = [session.run(make_example(inputs, size)) for size in BATCHES]
    for value in graph.graph.outputs:
        value.shape = ir.Shape(_choose_sizes(value, runs, batch))


def _is_stated(value: ir.Value, batch: str | None) -> bool:
    if value.shape is None:
        return False
    has_names = all(isinstance(size, int) or size.value for size in value.shape)
    return has_names and (batch is None or not value.shape or not isinstance(value.shape[0], int))


def _choose_sizes(value: ir.Value, runs: Sequence[Mapping[str, Array]], batch: str | None) -> list[int | str]:
    name = value.name or ""
    shapes = [run[name].shape for run in runs]
    own = list(value.shape or ()) if len(value.shape or ()) == len(shapes[0]) else [None] * len(shapes[0])
    return [
        _choose_size(stated, actual, batch if axis == 0 else None)
        or f"{re.sub('[^A-Za-z0-9_]', '_', name)}_{axis}"
        for axis, (stated, actual) in enumerate(zip(own, zip(*shapes, strict=True), strict=True))
    ]


def _choose_size(stated: object, actual: Sequence[int], batch: str | None) -> int | str | None:
    """The size of an axis; None where it is free and has no name."""
    if isinstance(stated, int) and set(actual) == {stated}:
        return stated
    if isinstance(stated, ir.SymbolicDim) and stated.value:
        return stated.value
    return batch if tuple(actual) == BATCHES else None
