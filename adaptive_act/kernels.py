"""Elementwise functions with a faster backward pass on the CPU than torch's own.

Each function has the value and the gradient of the plain expression in its docstring. While a graph is
compiled, traced or exported, and in torch's function transforms, it is that expression.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import _symbolic_trace


def _is_traced() -> bool:
    """Whether torch.fx traces symbolically: its own question of torch 2.9, which older ones do not have."""
    return _symbolic_trace._is_fx_tracing_flag and not torch.compiler.is_compiling()


def is_in_graph() -> bool:
    """Whether the plain expression is needed: in compiling, tracing, exporting or a function transform."""
    return (
        torch.compiler.is_compiling()
        or _is_traced()
        or torch._C._len_torch_dispatch_stack() > 0  # such as FakeTensorMode, whose tensors hold no numbers
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def is_compiled() -> bool:
    """Whether a graph is being made to be run, by torch.compile, and not to be exported."""
    return torch.compiler.is_compiling() and not torch.compiler.is_exporting()


def is_scalar_on_cpu(x: Tensor, *parameters: Tensor) -> bool:
    """Whether the parameters are shared and on the CPU, so that torch's fused kernels can take their numbers.

    On a GPU, reading a number would wait for all work before it.
    """
    if is_in_graph() or x.device.type != "cpu":
        return False
    return all(parameter.numel() == 1 for parameter in parameters)


def is_zero_on_cpu(weight: Tensor) -> bool:
    """Whether the weight is on the CPU and 0, in every channel, and no graph is made."""
    return not is_in_graph() and weight.device.type == "cpu" and not weight.any()


def may_overwrite(gradient: Tensor) -> bool:
    """Whether a backward pass may write into tensors: it is neither recorded nor for many gradients."""
    at_once = torch._C._functorch.is_legacy_batchedtensor(gradient)
    return not (torch.is_grad_enabled() or is_in_graph() or at_once)


def sum_product(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """The sum of a * b over the axes that a parameter shaped as `like` shares.

    Where it shares all, the product is not stored.
    """
    alike = a.is_contiguous() and b.is_contiguous() and a.dtype in (torch.float32, torch.float64)
    if like.dim() == 0 and alike:
        return torch.dot(a.view(-1), b.view(-1))
    return (a * b).sum_to_size(like.shape)


def limit(u: Tensor, weight: Tensor, power: int = 1) -> Tensor:
    """u, but where the weight is 0 within bounds whose power is finite: 0 · ∞ is no number, its limit 0.

    It is u itself in graphs, and on a GPU, where to look at the weight would wait for all work before it.
    """
    if is_in_graph() or weight.device.type != "cpu" or weight.all():
        return u
    bound = torch.full_like(weight, math.inf, dtype=u.dtype)
    bound[weight == 0] = torch.finfo(u.dtype).max ** (1 / power)
    return u.clamp(-bound, bound)


def times(weight: Tensor, u: Tensor) -> Tensor:
    """`weight * u`, in which 0 · ∞ is 0: at a fixed point it is finite where the plain activation is."""
    if is_zero_on_cpu(weight):
        absent: Tensor = _Absent.apply(weight, u)  # type: ignore[no-untyped-call]
        return absent
    return weight * limit(u, weight)


class _Absent(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor) -> Tensor:
        ctx.save_for_backward(weight, u)
        return torch.zeros_like(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        weight, u = ctx.saved_tensors
        of_weight = sum_product(gradient, u, weight) if ctx.needs_input_grad[0] else None
        return of_weight, weight * gradient if ctx.needs_input_grad[1] else None


def clip(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`x.clamp(low, high)` for low ≤ high, broadcastable to x; a bound gets the gradient from beyond it."""
    if _is_traced():  # where TorchScript compiles the graph, the bounds of clamp get no gradient
        return torch.where(x > high, high, torch.where(x < low, low, x))
    if is_in_graph() and not is_compiled():
        return x.clamp(low, high)
    clipped: Tensor = _Clip.apply(x, low, high)  # type: ignore[no-untyped-call]
    return clipped


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
        ctx.save_for_backward(x, low, high)
        return x.clamp(low.item(), high.item()) if is_scalar_on_cpu(x, low, high) else x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x, low, high = ctx.saved_tensors
        from_low, above = _split_at_bounds(gradient, x, low, high)
        of_low = (gradient - from_low).sum_to_size(low.shape) if ctx.needs_input_grad[1] else None
        of_high = above.sum_to_size(high.shape) if ctx.needs_input_grad[2] else None
        return from_low - above, of_low, of_high


def _split_at_bounds(gradient: Tensor, x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient where x ≥ low, and where x > high; 0 elsewhere."""
    if is_compiled():
        # inductor keeps a mask for the backward pass, and its loops over masks are twenty times slower.
        return gradient * (1 - torch.relu(torch.sign(low - x))), gradient * torch.relu(torch.sign(x - high))
    if not is_scalar_on_cpu(x, low, high):
        return gradient * (x >= low), gradient * (x > high)
    # torch's fused kernel, one vectorised pass each, compares in float32 at least.
    precise = low.to(torch.promote_types(low.dtype, torch.float32))
    before_low, backward = torch.nextafter(precise, precise - math.inf), torch.ops.aten.threshold_backward
    return backward(gradient, x, before_low.item()), backward(gradient, x, high.item())


def negative_part(x: Tensor) -> Tensor:
    """`x.clamp(max=0)`, which is min(0, x), with gradient 1 at and below zero."""
    if is_in_graph():
        return x.clamp(max=0)
    part: Tensor = _NegativePart.apply(x)  # type: ignore[no-untyped-call]
    return part


def two_slopes(x: Tensor, below: Tensor) -> Tensor:
    """`torch.relu(x) + below * x.clamp(max=0)`; at zero the gradient is `below`, as it is left of it.

    For a shared slope on the CPU only x is kept for the backward pass.
    """
    if not is_scalar_on_cpu(x, below):
        return torch.relu(x) + times(below, negative_part(x))
    sloped: Tensor = _TwoSlopes.apply(x, below)  # type: ignore[no-untyped-call]
    return sloped


def two_lines(x: Tensor, above: Tensor, below: Tensor) -> Tensor:
    """`above * torch.relu(x) + below * x.clamp(max=0)`; only x is kept for the backward pass."""
    if is_in_graph():
        return above * torch.relu(x) + below * x.clamp(max=0)
    bent: Tensor = _TwoLines.apply(x, above, below)  # type: ignore[no-untyped-call]
    return bent


def gradient_below(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient where x ≤ 0, else 0."""
    # hardtanh's backward is one vectorised pass, clamp's a mask and a slow `where`. Its bounds themselves get
    # no gradient, so the upper one is the smallest number above zero; -∞ gets none.
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
        slope = below.item()
        return F.leaky_relu(x, slope) if slope else torch.relu(x)  # 0 · ∞ is no number

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        x, below = ctx.saved_tensors
        if torch.is_grad_enabled():  # to be differentiated again, also by the slope
            of_x = torch.ops.aten.threshold_backward(gradient, x, 0) + below * gradient_below(gradient, x)
        else:
            of_x = torch.ops.aten.leaky_relu_backward(gradient, x, below.item(), False)
        of_below = sum_product(gradient, negative_part(x), below) if ctx.needs_input_grad[1] else None
        return of_x, of_below


class _TwoLines(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, above: Tensor, below: Tensor) -> Tensor:
        ctx.save_for_backward(x, above, below)
        right, left = limit(torch.relu(x), above), limit(x.clamp(max=0), below)
        return right.mul_(above).addcmul_(left, below)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, above, below = ctx.saved_tensors
        right = torch.ops.aten.threshold_backward(gradient, x, 0)
        left = gradient_below(gradient, x)
        of_above, of_below = sum_product(right, x, above), sum_product(left, x, below)
        if may_overwrite(gradient):
            return right.mul_(above).addcmul_(left, below), of_above, of_below
        return right * above + left * below, of_above, of_below


def elu_below(x: Tensor, depth: Tensor, rate: Tensor) -> Tensor:
    """`torch.relu(x) + depth * torch.expm1(rate * x.clamp(max=0))`, for a rate above zero.

    For shared parameters on the CPU only x is kept for the backward pass.
    """
    if not is_scalar_on_cpu(x, depth, rate):
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
            of_rate = sum_product(falling, low, rate) / rate
        else:
            of_x = torch.ops.aten.elu_backward(gradient, depth.item(), 1.0, rate.item(), False, x)
            of_rate = sum_product(of_x, low, rate) / rate
        return of_x, sum_product(gradient, torch.expm1(rate * low), depth), of_rate


def hinges(x: Tensor, slope: Tensor, bends: Tensor, knots: Tensor, count: int) -> Tensor:
    """`slope * x + sum(bend * torch.relu(x - knot))`, over the `count` bends and knots on their first axis.

    For shared parameters on the CPU only x is kept for the backward pass.
    """
    if not is_scalar_on_cpu(x, slope, bends[0], knots[0]):
        total = times(slope, x)
        for k in range(count):
            total = total + times(bends[k], torch.relu(x - knots[k]))
        return total
    bent: Tensor = _Hinges.apply(x, slope, bends, knots)  # type: ignore[no-untyped-call]
    return bent


class _Hinges(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor, bends: Tensor, knots: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope, bends, knots)
        total, beyond = times(slope, x), torch.empty_like(x)
        for bend, knot in zip(bends.tolist(), knots.tolist(), strict=True):
            if bend == 0:
                continue
            torch.sub(x, knot, out=beyond)
            total.add_(beyond.relu_(), alpha=bend)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x, slope, bends, knots = ctx.saved_tensors
        in_place = may_overwrite(gradient)
        of_x, passed = gradient * slope, torch.empty_like(x)
        of_bends, of_knots = [], []
        for bend, knot in zip(bends, knots, strict=True):
            if in_place:
                torch.ops.aten.threshold_backward(gradient, x, knot.item(), grad_input=passed)
                of_x.add_(passed, alpha=bend.item())
            else:
                passed = torch.ops.aten.threshold_backward(gradient, x, knot.item())
                of_x = of_x + bend * passed
            through = passed.sum()
            of_bends.append(sum_product(passed, x, bend) - knot * through)
            of_knots.append(-bend * through)
        return of_x, sum_product(gradient, x, slope), torch.stack(of_bends), torch.stack(of_knots)
