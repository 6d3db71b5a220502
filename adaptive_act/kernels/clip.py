"""Clipping between two learned bounds."""

import math
from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels.graph import as_numbers, in_a_graph


def clip(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`x.clamp(low, high)` for low ≤ high, broadcastable to x; a bound gets the gradient from beyond it."""
    if in_a_graph():
        return x.clamp(low, high)
    clipped: Tensor = _Clip.apply(x, low, high)  # type: ignore[no-untyped-call]
    return clipped


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(x, low, high)
        return x.clamp(low.item(), high.item()) if as_numbers(x, low, high) else x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x, low, high = ctx.saved_tensors
        below, above = _outside(gradient, x, low, high)
        of_low = below.sum_to_size(low.shape) if ctx.needs_input_grad[1] else None
        of_high = above.sum_to_size(high.shape) if ctx.needs_input_grad[2] else None
        return gradient - below - above, of_low, of_high


def _outside(gradient: Tensor, x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient where x < low, and where x > high; 0 elsewhere."""
    if not as_numbers(x, low, high):
        return gradient * (x < low), gradient * (x > high)
    # torch's fused kernels: one vectorised pass each.
    below = torch.ops.aten.hardtanh_backward(gradient, x, -math.inf, low.item())
    above = torch.ops.aten.threshold_backward(gradient, x, high.item())
    return below, above
