"""Straight pieces between knots."""

from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels.graph import as_numbers, inner


def hinges(x: Tensor, slope: Tensor, bends: Tensor, knots: Tensor) -> Tensor:
    """`slope * x + sum(bend * torch.relu(x - knot))`, over the first axis of bends and knots.

    For shared parameters on the CPU only x is kept for the backward pass.
    """
    if not as_numbers(x, slope, *bends, *knots):
        total = slope * x
        for bend, knot in zip(bends, knots, strict=True):
            total = total + bend * torch.relu(x - knot)
        return total
    bent: Tensor = _Hinges.apply(x, slope, bends, knots)  # type: ignore[no-untyped-call]
    return bent


class _Hinges(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor, bends: Tensor, knots: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope, bends, knots)
        total, beyond = slope * x, torch.empty_like(x)
        for bend, knot in zip(bends.tolist(), knots.tolist(), strict=True):
            torch.sub(x, knot, out=beyond)
            total.add_(beyond.relu_(), alpha=bend)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, slope, bends, knots = ctx.saved_tensors
        again = torch.is_grad_enabled()  # to be differentiated again: nothing may be written over
        of_x, passed = gradient * slope, torch.empty_like(x)
        of_bends, of_knots = [], []
        for bend, knot in zip(bends, knots, strict=True):
            if again:
                passed = torch.ops.aten.threshold_backward(gradient, x, knot.item())
                of_x = of_x + bend * passed
            else:
                torch.ops.aten.threshold_backward(gradient, x, knot.item(), grad_input=passed)
                of_x.add_(passed, alpha=bend.item())
            through = passed.sum()
            of_bends.append(inner(passed, x, bend) - knot * through)
            of_knots.append(-bend * through)
        return of_x, inner(gradient, x, slope), torch.stack(of_bends), torch.stack(of_knots)
