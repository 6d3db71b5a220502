"""An ONNX graph as a model: run by ONNX Runtime, and in float64 where that computes the same."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor, nn

from adaptact.text import first_line
from convert.errors import ConversionError, ExportError
from convert.model_io.array import Array, get_dtype
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import make_example
from convert.sources.float64_reference import EVALUATOR_ERRORS, Float64Graph

LARGEST_FLOAT64 = 2**29  # bytes of weights, which float64 doubles and its evaluators copy
LARGEST_DIFFERENCE = 1e-2  # of the scale: beyond, float64 computes something else than float32


class OnnxModule(nn.Module):
    """An ONNX graph behind the methods of a torch module; its weights are its own, not parameters.

    `widen` makes the graph in float64, where that is possible. It is called on demand, since the result takes
    several times the memory of the weights, and a copy that is no longer needed frees it.
    """

    trees = 0

    def __init__(
        self,
        own: Session,
        inputs: Sequence[InputSpec],
        widen: Callable[[], Float64Graph] | None = None,
        *,
        is_reference: bool = False,
    ) -> None:
        super().__init__()
        self._own, self._inputs, self._widen = own, tuple(inputs), widen
        self._dtypes = [get_dtype(spec.dtype) for spec in inputs]
        self._wide: Float64Graph | None = None
        self.is_reference = is_reference
        self.eval()

    def forward(self, *arguments: Tensor) -> dict[str, Tensor]:
        """The outputs by name, of tensors in the order of the inputs."""
        values = self.run_arrays([argument.numpy() for argument in arguments])
        return {name: torch.from_numpy(value) for name, value in values.items()}

    def run_arrays(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name, of arrays in the order of the inputs, rounded to the graph's own types.

        Texts are whole numbers. Raises ExportError where the graph does not take the arrays.
        """
        fed = [
            array if self._wide and array.dtype == np.float64 else array.astype(dtype, copy=False)
            for dtype, array in zip(self._dtypes, arrays, strict=True)
        ]
        try:
            return (self._wide or self._own).run(fed)
        except EVALUATOR_ERRORS as error:
            shapes = [list(array.shape) for array in arrays]
            raise ExportError(f"the graph cannot be run on {shapes}: {first_line(error)}") from error

    def double(self) -> Self:
        """The graph in float64, where that agrees with what it computes."""
        if self._wide is None and self._widen is not None:
            self._wide = self._widen()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxModule":
        copied = OnnxModule(self._own, self._inputs, self._widen, is_reference=self.is_reference)
        copied._wide = self._wide
        return copied


def agrees_in_float64(graph: ir.Model, own: Session, inputs: Sequence[InputSpec]) -> bool:
    """Whether the graph can be run in float64, and then returns about the same as in its own types."""
    weights = sum(
        value.const_value.nbytes for value in graph.graph.initializers.values() if value.const_value
    )
    if weights > LARGEST_FLOAT64:
        return False
    arrays = make_example(inputs)
    expected = own.run(arrays)
    try:
        wide = Float64Graph(ir.to_proto(graph), [spec.name for spec in inputs])
        outputs = wide.run(
            [array.astype(np.float64) if array.dtype == np.float32 else array for array in arrays]
        )
    except (*EVALUATOR_ERRORS, ConversionError):
        return False
    return all(_is_near(outputs[name], value) for name, value in expected.items())


def _is_near(wide: Any, own: Any) -> bool:
    if wide.shape != own.shape:
        return False
    if own.dtype.kind != "f":
        return bool(wide.dtype == own.dtype and (wide == own).mean() > 0.5) if own.size else True
    finite = np.isfinite(own)
    scale = float(np.abs(np.where(finite, own, 0)).max(initial=0.0))
    distance = np.abs(np.where(finite, wide, 0) - np.where(finite, own, 0)).max(initial=0.0)
    return bool(distance <= LARGEST_DIFFERENCE * scale)
