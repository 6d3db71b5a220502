"""Sorting and the largest numbers, where ONNX has the lower index of equal ones first."""

from typing import Any

from onnxscript.function_libs.torch_lib.tensor_typing import TReal
from onnxscript.onnx_opset import opset18

op: Any = opset18  # it takes more than its annotations say


def take_top(self: TReal, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest or smallest numbers and their indices, in order, as otherwise any would be right."""
    return op.TopK(self, op.Reshape(k, op.Constant(value_ints=[1])), axis=dim, largest=largest, sorted=True)


def sort_stably(self: TReal, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """All numbers in order, equal ones in the order that they have."""
    if not self.shape:
        return op.Identity(self), op.Constant(value_int=0)
    size = op.Shape(self, start=dim, end=dim + 1 or None)
    return op.TopK(self, size, axis=dim, largest=descending, sorted=True)
