"""Division and its remainder, exact where torch's own translation rounds on the way.

That divides whole numbers as float32, which holds them up to 2²⁴ only, and takes `a - b * floor(a / b)` for
the remainder, which has no digit left where the quotient is large.
"""

from typing import Any

import onnx_ir as ir
from onnxscript.function_libs.torch_lib.tensor_typing import TReal
from onnxscript.onnx_opset import opset18

op: Any = opset18  # it takes more than its annotations say


def divide(self: TReal, other: TReal, rounding_mode: str | None = None) -> Any:
    """The quotient, rounded as `rounding_mode` says: `floor`, `trunc` or not at all."""
    is_whole = self.dtype.is_integer()
    if rounding_mode == "floor":
        return divide_down(self, other)
    if rounding_mode is None:
        parts = [op.Cast(part, to=ir.DataType.FLOAT) if is_whole else part for part in (self, other)]
        return op.Div(*parts)
    quotient = op.Div(self, other)
    return quotient if is_whole else op.Mul(op.Sign(quotient), op.Floor(op.Abs(quotient)))


def divide_down(self: TReal, other: TReal) -> Any:
    """The largest whole number that is not above the exact quotient."""
    quotient = op.Div(self, other)  # of whole numbers, towards zero
    if self.dtype.is_integer():
        is_negative = op.Equal(op.Less(self, 0), op.Greater(other, 0))
        is_above = op.And(is_negative, op.Cast(op.Mod(self, other), to=ir.DataType.BOOL))
        return op.Sub(quotient, op.CastLike(is_above, self))
    # Without the remainder it is a multiple that is divided: whole, but for rounding.
    whole = op.Round(op.Div(op.Sub(self, _find_remainder(self, other)), other))
    return op.Where(op.Equal(other, op.CastLike(0.0, other)), quotient, whole)


def find_remainder(self: TReal, other: TReal) -> Any:
    """What a division downwards leaves: of the divisor's sign, and smaller than it."""
    return op.Mod(self, other) if self.dtype.is_integer() else _find_remainder(self, other)


def find_remainder_by_number(self: TReal, other: float) -> Any:
    """The same, by a plain number."""
    divisor: Any = op.Constant(value=ir.tensor(other, dtype=self.dtype))
    return op.Mod(self, divisor) if self.dtype.is_integer() else _find_remainder(self, divisor)


def find_remainder_of_number(self: float, other: TReal) -> Any:
    """The same, of a plain number."""
    number = op.Constant(value=ir.tensor(self, dtype=other.dtype))
    return op.Mod(number, other) if other.dtype.is_integer() else _find_remainder(number, other)


def _find_remainder(self: Any, other: Any) -> Any:
    """The same, of floating point numbers."""
    rest = op.Mod(self, other, fmod=1)  # exact, of the dividend's sign
    is_opposite = op.Less(op.Mul(op.Sign(rest), op.Sign(other)), op.CastLike(0.0, rest))
    return op.Where(is_opposite, op.Add(rest, other), rest)
