"""Polynomials and their quotients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.fused.blocks import Kernel, run
from adaptive_act.kernels import is_in_graph, limit


def polynomial(x: Tensor, *coefficients: Tensor) -> Tensor:
    """`sum(c * x**k for k, c in enumerate(coefficients))`, for three coefficients or more."""
    return run(_Polynomial(), x, *coefficients)


def rational(x: Tensor, above: Sequence[Tensor], below: Sequence[Tensor], largest: float) -> Tensor:
    """`P(u) / (1 + abs(u * Q(u)))`, with u = x within ±largest.

    P and Q are the polynomials with the coefficients `above`, three or more, and `below`, two or more.
    """
    return run(_Rational(len(above), largest), x, *above, *below)


class _Polynomial(Kernel):
    def plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        if is_in_graph():
            return _nest(x, parameters)
        nested: Tensor = _Nested.apply(x, *parameters)  # type: ignore[no-untyped-call]
        return nested

    def write_value(self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], value: Tensor) -> None:
        _write_nested(x, numbers, value)

    def write_gradient(
        self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], gradient: Tensor, of_x: Tensor
    ) -> Tensor:
        _write_nested(x, _derive(numbers), of_x).mul_(gradient)
        return torch.stack(_sum_with_powers(gradient, x, len(numbers)))


@dataclass(frozen=True, slots=True)
class _Rational(Kernel):
    count_above: int
    largest: float

    def plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        u = F.hardtanh(x, -self.largest, self.largest)
        above, below = parameters[: self.count_above], parameters[self.count_above :]
        return _nest(u, above) / (1 + (u * _nest(u, below)).abs())

    def write_value(self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], value: Tensor) -> None:
        u = x.clamp(-self.largest, self.largest)
        above, below = numbers[: self.count_above], numbers[self.count_above :]
        denominator = _write_nested(u, below, torch.empty_like(u)).mul_(u).abs_().add_(1)
        _write_nested(u, above, value).div_(denominator)

    def write_gradient(
        self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], gradient: Tensor, of_x: Tensor
    ) -> Tensor:
        u = x.clamp(-self.largest, self.largest)
        above, below = numbers[: self.count_above], numbers[self.count_above :]
        inside = _write_nested(u, below, torch.empty_like(u)).mul_(u)
        sign = inside.sign()
        denominator = inside.abs_().add_(1)
        of_numerator = gradient / denominator
        of_inside = _write_nested(u, above, torch.empty_like(u))
        of_inside.div_(denominator).mul_(of_numerator).mul_(sign).neg_()
        slope = _write_nested(u, _derive(F.pad(below, (1, 0))), sign)
        _write_nested(u, _derive(above), of_x).mul_(of_numerator).addcmul_(slope, of_inside)
        of_x.copy_(torch.ops.aten.hardtanh_backward(of_x, x, -self.largest, self.largest))
        of_above = _sum_with_powers(of_numerator, u, len(above))
        return torch.stack(of_above + _sum_with_powers(of_inside.mul_(u), u, len(below)))


class _Nested(torch.autograd.Function):
    """Horner's rule in both passes, by which no power overflows that a coefficient of 0 would take away."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *coefficients: Tensor) -> Tensor:
        ctx.save_for_backward(x, *coefficients)
        return _nest_bounded(x, coefficients)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        x, *coefficients = ctx.saved_tensors
        slope = _nest_bounded(x, [k * own for k, own in enumerate(coefficients)][1:])
        weighted, of_coefficients = gradient, []
        for own in coefficients:
            of_coefficients.append(weighted.sum_to_size(own.shape))
            weighted = weighted * x
        return gradient * slope, *of_coefficients


def _nest_bounded(x: Tensor, coefficients: Sequence[Tensor]) -> Tensor:
    """The polynomial, by Horner's rule, with 0 · ∞ = 0 where all higher coefficients are 0."""
    *rest, value = coefficients
    higher = value.abs()
    for coefficient in reversed(rest):
        value = coefficient + limit(x, higher) * value
        higher = higher + coefficient.abs()
    return value


def _nest(x: Tensor, coefficients: Sequence[Tensor]) -> Tensor:
    """The polynomial, by Horner's rule."""
    *rest, value = coefficients
    for coefficient in reversed(rest):
        value = coefficient + x * value
    return value


def _write_nested(x: Tensor, coefficients: Tensor, value: Tensor) -> Tensor:
    """Writes the polynomial with two coefficients or more, by Horner's rule, and returns it."""
    *rest, before_last, last = _drop_zeros(coefficients).unbind()
    if last == 0:
        value.copy_(before_last.expand_as(value))
    else:
        torch.addcmul(before_last, x, last, out=value)
    for coefficient in reversed(rest):
        torch.addcmul(coefficient, x, value, out=value)
    return value


def _drop_zeros(coefficients: Tensor) -> Tensor:
    """The coefficients, two at least, without those of the highest powers that are 0: 0 · ∞ is no number."""
    count = 1 + max((k for k, number in enumerate(coefficients.tolist()) if number), default=0)
    return coefficients[: max(count, 2)]


def _derive(coefficients: Tensor) -> Tensor:
    """The coefficients of the derivative."""
    return coefficients[1:] * torch.arange(1, len(coefficients), device=coefficients.device)


def _sum_with_powers(weights: Tensor, x: Tensor, count: int) -> list[Tensor]:
    """The sums of weights · xᵏ, for k from 0 up to `count`, which is two or more."""
    sums, weighted = [weights.sum(), weights.dot(x)], weights * x
    for _ in range(2, count):
        sums.append(weighted.dot(x))
        weighted.mul_(x)
    return sums
