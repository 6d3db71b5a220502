"""ELU of learned depth and rate."""

from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels.graph import as_numbers, inner
from adaptive_act.kernels.slopes import gradient_below, negative_part


def elu_below(x: Tensor, depth: Tensor, rate: Tensor) -> Tensor:
    """`torch.relu(x) + depth * torch.expm1(rate * x.clamp(max=0))`, for a rate above zero.

    For shared parameters on the CPU only x is kept for the backward pass.
    """
    if not as_numbers(x, depth, rate):
        return torch.relu(x) + depth * torch.expm1(rate * negative_part(x))
    curved: Tensor = _EluBelow.apply(x, depth, rate)  # type: ignore[no-untyped-call]
    return curved


class _EluBelow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, depth: Tensor, rate: Tensor) -> Tensor:
        ctx.save_for_backward(x, depth, rate)
        curved: Tensor = torch.ops.aten.elu(x, depth.item(), 1.0, rate.item())
        return curved

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, depth, rate = ctx.saved_tensors
        low = negative_part(x)
        if torch.is_grad_enabled():  # to be differentiated again, also by the parameters
            falling = gradient_below(gradient * depth * rate * torch.exp(rate * low), x)
            of_x = torch.ops.aten.threshold_backward(gradient, x, 0) + falling
            of_rate = inner(falling, low, rate) / rate
        else:
            of_x = torch.ops.aten.elu_backward(gradient, depth.item(), 1.0, rate.item(), False, x)
            of_rate = inner(of_x, low, rate) / rate
        return of_x, inner(gradient, torch.expm1(rate * low), depth), of_rate
