"""Products of whole numbers, exact and with torch's overflow: ONNX Runtime multiplies them as float64."""

from math import prod
from typing import Any

import onnx_ir as ir
from onnxscript.function_libs.torch_lib.tensor_typing import TReal
from onnxscript.onnx_opset import opset18

LONGEST = 64  # numbers of an axis multiplied in halves; a longer or a free one is left to ReduceProd
op: Any = opset18  # it takes more than its annotations say


def multiply(self: TReal, dtype: int = -1) -> Any:
    """The product of all numbers."""
    sizes: tuple[Any, ...] = tuple(self.shape or ())
    if not sizes:
        return op.Identity(_promote(self, dtype))
    count = prod(sizes) if all(isinstance(size, int) for size in sizes) else None
    flat = op.Reshape(_promote(self, dtype), op.Constant(value_ints=[-1]))
    return _multiply(flat, 0, count if _is_whole(self, dtype) else None, keepdims=False)


def multiply_along(self: TReal, dim: int, keepdim: bool = False, dtype: int = -1) -> Any:
    """The products along one axis."""
    if not self.shape:
        return op.Identity(_promote(self, dtype))
    size = self.shape[dim] if _is_whole(self, dtype) else None
    return _multiply(_promote(self, dtype), dim, size if isinstance(size, int) else None, keepdim)


def _is_whole(self: TReal, dtype: int) -> bool:
    kind = self.dtype if dtype in (-1, None) else ir.DataType(dtype)
    return bool(kind == ir.DataType.BOOL or kind.is_integer())


def _promote(self: TReal, dtype: int) -> Any:
    """The numbers in the type of their product, which of whole ones is int64."""
    if dtype not in (-1, None):
        return op.Cast(self, to=dtype)
    return op.Cast(self, to=ir.DataType.INT64) if _is_whole(self, dtype) else self


def _multiply(numbers: Any, axis: int, size: int | None, keepdims: bool) -> Any:
    axes = op.Constant(value_ints=[axis])
    if size is None or not 0 < size <= LONGEST:
        return op.ReduceProd(numbers, axes, keepdims=keepdims)
    while size > 1:
        half = size // 2
        product = op.Mul(_cut(numbers, 0, half, axes), _cut(numbers, half, 2 * half, axes))
        if size % 2:
            product = op.Concat(product, _cut(numbers, 2 * half, size, axes), axis=axis)
        numbers, size = product, half + size % 2
    return numbers if keepdims else op.Squeeze(numbers, axes)


def _cut(numbers: Any, start: int, end: int, axes: Any) -> Any:
    return op.Slice(numbers, op.Constant(value_ints=[start]), op.Constant(value_ints=[end]), axes)
