"""The part of x below zero, and a slope of its own for it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.kernels.graph import as_numbers, in_a_graph, inner


def negative_part(x: Tensor) -> Tensor:
    """`x.clamp(max=0)`, which is min(0, x), with gradient 1 at and below zero."""
    if in_a_graph():
        return x.clamp(max=0)
    part: Tensor = _NegativePart.apply(x)  # type: ignore[no-untyped-call]
    return part


def two_slopes(x: Tensor, below: Tensor) -> Tensor:
    """`torch.relu(x) + below * x.clamp(max=0)`; at zero the gradient is `below`, as it is left of it.

    For a shared slope on the CPU only x is kept for the backward pass.
    """
    if not as_numbers(x, below):
        return torch.relu(x) + below * negative_part(x)
    sloped: Tensor = _TwoSlopes.apply(x, below)  # type: ignore[no-untyped-call]
    return sloped


def two_lines(x: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """`above * torch.relu(x) + below * x.clamp(max=0)`; only x is kept for the backward pass."""
    if in_a_graph():
        return above * torch.relu(x) + below * x.clamp(max=0)
    bent: Tensor = _TwoLines.apply(x, above, below)  # type: ignore[no-untyped-call]
    return bent


def gradient_below(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient where x ≤ 0, else 0."""
    # hardtanh's backward is one vectorised pass, clamp's a mask and a slow `where`. Its bounds themselves get
    # no gradient, so the upper one is the smallest number above zero.
    numbers = torch.finfo(x.dtype)
    above_zero = numbers.smallest_normal * numbers.eps
    passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, x, -math.inf, above_zero)
    return passed


class _NegativePart(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.clamp(max=0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return gradient_below(gradient, x)


class _TwoSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, below: Tensor) -> Tensor:
        ctx.save_for_backward(x, below)
        return F.leaky_relu(x, below.item())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        x, below = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again, also by the slope
            of_x = torch.ops.aten.threshold_backward(gradient, x, 0) + below * gradient_below(gradient, x)
        else:
            of_x = torch.ops.aten.leaky_relu_backward(gradient, x, below.item(), False)
        of_below = inner(gradient, negative_part(x), below) if ctx.needs_input_grad[1] else None
        return of_x, of_below


class _TwoLines(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, above: Tensor, below: Tensor) -> Tensor:
        ctx.save_for_backward(x, above, below)
        return torch.relu(x).mul_(above).addcmul_(x.clamp(max=0), below)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, above, below = ctx.saved_tensors
        right = torch.ops.aten.threshold_backward(gradient, x, 0)
        left = gradient_below(gradient, x)
        of_above, of_below = inner(right, x, above), inner(left, x, below)
        if torch.is_grad_enabled():  # to be differentiated again
            return right * above + left * below, of_above, of_below
        return right.mul_(above).addcmul_(left, below), of_above, of_below
