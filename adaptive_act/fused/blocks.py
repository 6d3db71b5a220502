"""Both passes of a function of x and shared numbers, block by block of what stays in the cache.

In a chain of torch's operators each step writes a tensor as large as x, and memory that the system has to
hand out costs more than most arithmetic. Here a pass allocates what it returns, the steps between stay in
buffers of a block, and little more than x is kept for the backward pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from adaptive_act.kernels import is_scalar_on_cpu, may_overwrite

BLOCK = 131_072
"""The elements of a block for each thread. With half as many, calls of operators cost more than is spared."""


class Kernel(ABC):
    """A function of x and parameters as torch's operators have it, and its two passes over a block of x.

    A pass gets the block, [n], and the numbers in the parameters as a vector without gradient, [k].
    """

    @abstractmethod
    def plain(self, x: Tensor, *parameters: Tensor) -> Tensor:
        """The function in torch's operators, for parameters that broadcast to x."""

    def make_kept(self, x: Tensor) -> list[Tensor]:
        """What is kept for the backward pass beside x: tensors like x, which the first pass fills."""
        return []

    @abstractmethod
    def write_value(self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], value: Tensor) -> None:
        """Writes the value, and what is kept."""

    @abstractmethod
    def write_gradient(
        self, x: Tensor, numbers: Tensor, kept: Sequence[Tensor], gradient: Tensor, of_x: Tensor
    ) -> Tensor:
        """Writes the gradient of x; returns that of each number, summed over the block: [k]."""


def run(kernel: Kernel, x: Tensor, *parameters: Tensor) -> Tensor:
    """The kernel's value at x, in x's shape and layout.

    Its own passes run for shared parameters and an x of float32 or float64, of a block or more, on the CPU,
    while no graph is made; torch's operators run otherwise.
    """
    if not is_scalar_on_cpu(x, *parameters) or x.dtype not in [torch.float32, torch.float64]:
        return kernel.plain(x, *parameters)
    if x.numel() < BLOCK:  # calls of operators take longer than their work
        return kernel.plain(x, *parameters)
    value: Tensor = _Fused.apply(kernel, x, *parameters)  # type: ignore[no-untyped-call]
    return value


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, kernel: Kernel, x: Tensor, *parameters: Tensor) -> Tensor:
        axes, numbers = _order_axes(x), _to_vector(parameters)
        flat, value = _flatten(x, axes), _make_dense(x, axes)
        kept = kernel.make_kept(flat)
        for x_block, value_block, *kept_blocks in _split(flat, _flatten(value, axes), *kept):
            kernel.write_value(x_block, numbers, kept_blocks, value_block)
        ctx.kernel = kernel
        ctx.save_for_backward(x, *parameters, *kept)
        return value

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, *rest), count = ctx.saved_tensors, len(ctx.needs_input_grad) - 2
        parameters, kept = rest[:count], rest[count:]
        if not may_overwrite(gradient):
            return None, *_differentiate(ctx.kernel, gradient, x, *parameters)
        axes, numbers = _order_axes(x), _to_vector(parameters)
        of_x, total = _make_dense(x, axes), torch.zeros_like(numbers)
        flat = [_flatten(tensor, axes) for tensor in (x, gradient, of_x)]
        for x_block, gradient_block, of_x_block, *kept_blocks in _split(*flat, *kept):
            total += ctx.kernel.write_gradient(x_block, numbers, kept_blocks, gradient_block, of_x_block)
        of_parameters = [of.view_as(own) for of, own in zip(total.unbind(), parameters, strict=True)]
        return None, of_x, *of_parameters


def _differentiate(kernel: Kernel, gradient: Tensor, *inputs: Tensor) -> list[Tensor | None]:
    """The gradients as torch computes them from its own operators, with a graph of their own if asked for."""
    wanted = [given for given in inputs if given.requires_grad]
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        value = kernel.plain(*inputs)
    gradients = torch.autograd.grad(value, wanted, gradient, create_graph=again, allow_unused=True)
    by_input = iter(gradients)
    return [next(by_input) if given.requires_grad else None for given in inputs]


def _to_vector(parameters: Sequence[Tensor]) -> Tensor:
    return torch.stack([parameter.detach().reshape(()) for parameter in parameters])


def _order_axes(x: Tensor) -> list[int]:
    """The axes of x from the one with the longest stride to the shortest: as they lie in memory."""
    return sorted(range(x.dim()), key=lambda axis: -x.stride()[axis])


def _flatten(x: Tensor, axes: list[int]) -> Tensor:
    """The elements of x in this order of its axes, [n]: where they lie so without gaps, a view."""
    return x.permute(axes).reshape(-1)


def _make_dense(like: Tensor, axes: list[int]) -> Tensor:
    """A tensor of the shape of `like`, whose axes lie in this order without gaps.

    It is no view, since torch lets nobody write into one that comes out of an autograd function.
    """
    return torch.empty_permuted(like.shape, axes, dtype=like.dtype, device=like.device)


def _split(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors [n] block by block."""
    size = BLOCK * torch.get_num_threads()
    return zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)
