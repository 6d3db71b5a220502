"""A line and a cubic, right of zero."""

from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels.graph import in_a_graph, inner


def cube(x: Tensor) -> Tensor:
    """`x * x * x`."""
    return x * x * x if in_a_graph() else x.pow(3)


def cubic_right(x: Tensor, linear: Tensor, cubic: Tensor) -> Tensor:
    """`linear * torch.relu(x) + cubic * torch.relu(x) ** 3`; only x is kept for the backward pass."""
    if in_a_graph():
        right = torch.relu(x)
        return linear * right + cubic * (right * right * right)
    curved: Tensor = _CubicRight.apply(x, linear, cubic)  # type: ignore[no-untyped-call]
    return curved


class _CubicRight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: Tensor, cubic: Tensor) -> Tensor:
        ctx.save_for_backward(x, linear, cubic)
        right = torch.relu(x)
        cubed = right.pow(3)
        return right.mul_(linear).addcmul_(cubed, cubic)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, linear, cubic = ctx.saved_tensors
        right = torch.relu(x)
        scaled = right * right * gradient
        of_linear, of_cubic = inner(gradient, right, linear), inner(scaled, right, cubic)
        if torch.is_grad_enabled():  # to be differentiated again
            slope = 3 * cubic * scaled + linear * gradient
        else:
            slope = scaled.mul_(3 * cubic).addcmul_(gradient, linear)
        return torch.ops.aten.threshold_backward(slope, x, 0), of_linear, of_cubic
