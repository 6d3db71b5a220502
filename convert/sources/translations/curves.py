"""Curves and averages whose translation by torch loses what torch itself keeps."""

from collections.abc import Sequence
from typing import Any

from onnxscript.function_libs.torch_lib.tensor_typing import TReal
from onnxscript.onnx_opset import opset18

op: Any = opset18  # it takes more than its annotations say


def take_log_of_sigmoid(self: TReal) -> Any:
    """log(sigmoid(x)) = −softplus(−x): ONNX Runtime's Sigmoid is 0 below −18, and its logarithm −Inf."""
    return op.Neg(op.Softplus(op.Neg(self)))


def average(self: TReal, dim: Sequence[int] | None = None, keepdim: bool = False, dtype: int = -1) -> Any:
    """The mean along `dim`, or of all; whole numbers are cast before, or the mean would be a whole number."""
    numbers = op.Identity(self) if dtype in (-1, None) else op.Cast(self, to=dtype)
    if not self.shape:  # a number, which torch takes for a row of one
        return numbers
    axes = (op.Constant(value_ints=list(dim)),) if dim else ()
    return op.ReduceMean(numbers, *axes, keepdims=keepdim)
