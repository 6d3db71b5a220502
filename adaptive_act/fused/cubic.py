"""Cubics whose weight may be 0, where no power of x may overflow."""

from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels import is_in_graph, is_zero_on_cpu, limit, may_overwrite, sum_product


def scaled_cube(x: Tensor, scale: Tensor) -> Tensor:
    """`scale * x * x * x`, from left to right; only x is kept for the backward pass."""
    if is_in_graph():
        return scale * x * x * x
    cubed: Tensor = _ScaledCube.apply(x, scale)  # type: ignore[no-untyped-call]
    return cubed


def cubic_right(x: Tensor, linear: Tensor, cubic: Tensor) -> Tensor:
    """`right * (linear + cubic * right * right)` with right = torch.relu(x).

    Only x is kept for the backward pass. Outside of graphs the cube is taken first: it may overflow, but
    not where `cubic` is 0.
    """
    if is_in_graph():
        right = torch.relu(x)
        return right * (linear + cubic * right * right)
    curved: Tensor = _CubicRight.apply(x, linear, cubic)  # type: ignore[no-untyped-call]
    return curved


class _ScaledCube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        x = limit(x, scale)
        return (scale * x).mul_(x).mul_(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        x, scale = ctx.saved_tensors
        x = limit(x, scale)
        of_scale = sum_product(gradient * x * x, x, scale) if ctx.needs_input_grad[1] else None
        return 3 * scale * gradient * x * x, of_scale


class _CubicRight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: Tensor, cubic: Tensor) -> Tensor:
        ctx.save_for_backward(x, linear, cubic)
        right = torch.relu(x)
        if is_zero_on_cpu(cubic):
            return right.mul_(linear)
        cubed = limit(right, cubic, power=4).pow(3)
        return right.mul_(linear).addcmul_(cubed, cubic)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, linear, cubic = ctx.saved_tensors
        right = torch.relu(x)
        in_place = may_overwrite(gradient)
        is_linear = in_place and is_zero_on_cpu(cubic)
        bounded = right if is_linear else limit(right, cubic, power=4)
        scaled = bounded * bounded * gradient
        of_linear, of_cubic = sum_product(gradient, right, linear), sum_product(scaled, bounded, cubic)
        if is_linear:
            slope = torch.mul(gradient, linear, out=scaled)
        elif in_place:
            slope = scaled.mul_(3 * cubic).addcmul_(gradient, linear)
        else:
            slope = 3 * cubic * scaled + linear * gradient
        return torch.ops.aten.threshold_backward(slope, x, 0), of_linear, of_cubic
