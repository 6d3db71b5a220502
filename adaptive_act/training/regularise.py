"""Terms for the loss that keep learned shapes near where they started, or their slope in bounds."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from adaptive_act.activation import Activation, named_activations
from adaptive_act.training.groups import learned_parameters

REACH = 4.0
"""All but one in ten thousand normalised inputs lie within this distance of zero."""


class Pull:
    """`strength` times the squared distance of the learned parameters from where they were at construction.

    Built right after a swap, that is the fixed point. Distances are between stored values, so for positive
    parameters it is the ratio that counts; channels are averaged, parameters summed. Where the model has
    none, the term is zero.
    """

    def __init__(self, model: nn.Module, strength: float) -> None:
        self.strength = strength
        self._learned = list(learned_parameters(model).values())
        self._start = [parameter.detach().clone() for parameter in self._learned]

    def __call__(self) -> Tensor:
        """The term, a scalar."""
        apart = [
            (now - start.to(now.device)).square().mean()
            for now, start in zip(self._learned, self._start, strict=True)
        ]
        return self.strength * _sum_terms(apart)


class SlopeBound:
    """`strength` times how far |f′| exceeds `limit`, squared, on a grid of inputs.

    The excess is averaged over the `points` of [-reach, reach] and the channels, and summed over the
    activations. Only elementwise ones have a slope; where the model has none, ValueError is raised.
    """

    order = 1

    def __init__(
        self, model: nn.Module, limit: float, strength: float, *, reach: float = REACH, points: int = 65
    ) -> None:
        self.limit, self.strength = limit, strength
        self._activations = _find_elementwise(model, type(self).__name__)
        self._grid = torch.linspace(-reach, reach, points)

    def __call__(self) -> Tensor:
        """The term, a scalar, with gradients to the learned parameters."""
        excesses = []
        for activation in self._activations:
            derivative = _differentiate(activation, self._grid, self.order)
            excesses.append(torch.relu(derivative.abs() - self.limit).square().mean())
        return self.strength * _sum_terms(excesses)


class CurvatureBound(SlopeBound):
    """`strength` times how far |f″| exceeds `limit`, squared, on a grid of inputs.

    The mean and the sum are those of `SlopeBound`. A kink, such as ReLU's at zero, has no curvature.
    """

    order = 2


def _differentiate(activation: Activation, grid: Tensor, order: int) -> Tensor:
    """The derivative of this order at `grid` [n] in each channel; it is differentiable."""
    parameter = next(activation.parameters())
    # Not `activation(x)`: hooks would see the grid as data. Autocast would round the grid.
    with torch.enable_grad(), torch.autocast(parameter.device.type, enabled=False), _Differentiable():
        x = _spread_grid(activation, grid.to(parameter.device, parameter.dtype)).requires_grad_()
        value = activation.forward(x)
        for _ in range(order):
            if not value.requires_grad:
                return torch.zeros_like(x)
            (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True, materialize_grads=True)
            value = slope
    return value


class _Differentiable(TorchFunctionMode):
    """Writes hardsigmoid as relu6: torch cannot differentiate the gradient of the former."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function in (F.hardsigmoid, torch._C._nn.hardsigmoid):
            return F.relu6(args[0] + 3) / 6
        return function(*args, **(kwargs or {}))


def _spread_grid(activation: Activation, grid: Tensor) -> Tensor:
    """The grid once for each channel, with the channels along the activation's axis."""
    axis = activation.channel_axis
    shape = [1] * (max(axis + 1, -axis) + 1)
    shape[axis] = activation.channels or 1
    across = 1 if axis == 0 else 0
    on_grid = [1] * len(shape)
    on_grid[across] = len(grid)
    shape[across] = len(grid)
    return grid.reshape(on_grid).expand(shape).clone()


def _find_elementwise(model: nn.Module, term: str) -> Sequence[Activation]:
    activations = [
        activation
        for activation in dict.fromkeys(named_activations(model).values())
        if activation.elementwise and any(True for _ in activation.parameters())
    ]
    if not activations:
        raise ValueError(f"`{term}` found no elementwise activation that learns in `{type(model).__name__}`")
    return activations


def _sum_terms(terms: Sequence[Tensor]) -> Tensor:
    return torch.stack([term.float() for term in terms]).sum() if terms else torch.zeros(())
