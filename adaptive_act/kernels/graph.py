"""When a fast step may be taken, and what the fast steps share."""

import torch
from torch import Tensor


def in_a_graph() -> bool:
    """Whether the plain expression is wanted: compiling, tracing, exporting, or a function transform."""
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def as_numbers(x: Tensor, *parameters: Tensor) -> bool:
    """Whether the parameters can be read as numbers, which torch's fused kernels take: shared, on the CPU.

    On a GPU reading a number would wait for all work before it.
    """
    shared = all(parameter.numel() == 1 for parameter in parameters)
    return shared and x.device.type == "cpu" and not in_a_graph()


def inner(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """The sum of a * b over what a parameter shaped as `like` shares; without a product in memory if all."""
    alike = a.is_contiguous() and b.is_contiguous() and a.dtype in (torch.float32, torch.float64)
    if like.dim() == 0 and alike:
        return torch.dot(a.view(-1), b.view(-1))
    return (a * b).sum_to_size(like.shape)
