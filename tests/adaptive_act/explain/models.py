"""A small classifier whose activations have learned something, and data for it."""

import torch
from torch import Tensor, nn

from adaptive_act import MPELU, PReLU, model_factory, named_activations, swap

INPUTS = [{"name": "x", "dtype": "float32", "shape": [None, 4]}]


@model_factory
def build() -> nn.Module:
    torch.manual_seed(0)
    hidden = (nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ELU(0.7))
    return nn.Sequential(*hidden, nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


def learned(per_channel: bool = False) -> nn.Module:
    """The classifier after a swap, with every learned value moved by as much as a training might."""
    model = swap(build(), {nn.ReLU: PReLU, nn.ELU: MPELU}, per_channel=per_channel, example=data(4)[0]).model
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for activation in named_activations(model).values():
            for parameter in activation.parameters():
                parameter.add_(0.3 + 0.2 * torch.randn(parameter.shape, generator=random))
    return model


def data(count: int) -> tuple[Tensor, Tensor]:
    """Inputs [count, 4] and labels [count]."""
    random = torch.Generator().manual_seed(2)
    x = torch.randn(count, 4, generator=random)
    return x, x[:, :3].argmax(1)


def batches(count: int = 120, size: int = 50) -> list[tuple[Tensor, Tensor]]:
    """The data in labelled batches, of which the last is smaller."""
    x, labels = data(count)
    return list(zip(torch.split(x, size), torch.split(labels, size), strict=True))
