"""Training loops of a user's own: one that works, and some that break the contract."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adaptive_act.errors import DivergedError
from adaptive_act.study import Training


def descend(  # noqa: PLR0913  # what a loop is given
    model: nn.Module,
    train: TensorDataset,
    validation: TensorDataset,
    *,
    lr: float,
    seed: int,
    training: Training,
    on_epoch: Callable[[float], None],
) -> None:
    """Plain gradient descent in the order of a loader."""
    optimizer = torch.optim.SGD(model.parameters(), lr)
    order = torch.Generator().manual_seed(seed)
    for _ in range(training.epochs):
        model.train()
        for x, labels in DataLoader(train, training.batch, shuffle=True, generator=order):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), labels)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it out
            optimizer.step()
        on_epoch(float(loss.detach()))
        assert model.training


def leave(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> None:
    """Does not train."""


def copy(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> nn.Module:
    """Gives a model back instead of training the one it was given."""
    return nn.Linear(1, 1)


def halve(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> None:
    """Leaves the model in half precision."""
    model.half()


def overflow(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> None:
    """Loses the weights."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))


def give_up(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> None:
    """Finds that training diverged."""
    raise DivergedError("lost")


def shift(model: nn.Module, train: TensorDataset, validation: TensorDataset, **options: Any) -> None:
    """Changes the weights, and tells of no epoch."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01)


def takes_less(model: nn.Module, train: TensorDataset) -> None:
    """Takes not all that it is given."""
