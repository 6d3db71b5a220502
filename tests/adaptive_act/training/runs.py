"""Small training runs that the tests watch, steady or about to diverge."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import NEAAF, PELU
from adaptive_act.training import Guard, Options, parameter_groups

QUICK = Options(recent=2, window=5, keep_every=1, read_every=1)
"""Knows what is normal after five steps, and judges by two."""


def network(seed: int = 0) -> nn.Sequential:
    """Two activations, a normalisation with buffers, and one output."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), NEAAF(), nn.Linear(8, 8), PELU(channels=8), nn.Linear(8, 1)
    )


def cubic(model: nn.Sequential, index: int = 2) -> NEAAF:
    """The NEAAF at that place."""
    activation = model[index]
    assert isinstance(activation, NEAAF)
    return activation


def batches(count: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs [16, 4] and targets [16, 1] that a network can learn."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = torch.randn(16, 4, generator=generator)
        yield x, x.sum(1, keepdim=True).abs()


def optimizer_of(model: nn.Module, lr: float = 1e-2) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameter_groups(model, lr, activation_lr=lr))


def backward(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The loss, after its gradients were computed."""
    model.zero_grad()
    loss = F.mse_loss(model(x), y)
    torch.autograd.backward(loss)
    return loss.detach()


def train(model: nn.Module, guard: Guard, steps: int, seed: int = 0) -> list[bool]:
    """What the guard said at each step."""
    return [guard.step(backward(model, x, y)) for x, y in batches(steps, seed)]


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Whether the two hold the same tensors, to the bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def start(
    options: Options = QUICK, tries: int = 3, steps: int = 6
) -> tuple[nn.Sequential, torch.optim.Optimizer, Guard]:
    """A run of healthy steps."""
    model = network()
    optimizer = optimizer_of(model)
    guard = Guard(model, optimizer, tries=tries, options=options)
    assert train(model, guard, steps) == [True] * steps
    return model, optimizer, guard


def compute_loss(model: nn.Module, factor: float = 1.0) -> torch.Tensor:
    """The loss, after its gradients, of a batch that is `factor` times too large."""
    ((x, y),) = batches(1, seed=9)
    return backward(model, x * factor, y * factor)
