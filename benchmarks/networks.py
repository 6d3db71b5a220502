"""The networks in which activations are compared, each with ReLU where an adaptive activation goes."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import model_factory
from benchmarks.models.residual import residual

WIDTHS = (3, 32, 64, 64, 128, 128, 128)
FEATURES, HEADS, INNER, TOKENS = 256, 4, 1024, 64


@dataclass(frozen=True, slots=True)
class Network:
    """How a network is built, the shape of one sample, and the batches it is timed at."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    batches: tuple[int, ...]

    @property
    def factory(self) -> str:
        """The factory that a checkpoint names."""
        return f"{self.build.__module__}:{self.build.__name__}"

    def example(self, batch: int) -> Tensor:
        """The same normal numbers on every call, [batch, ...]."""
        return torch.randn(batch, *self.shape, generator=torch.Generator().manual_seed(0))


@model_factory
def convolutions() -> nn.Module:
    """Six 3×3 convolutions, 32 to 128 channels, for images [n, 3, 32, 32]."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10))


@model_factory
def perceptron() -> nn.Module:
    """784-128-128-10, for rows [n, 784]."""
    layers = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)]
    return nn.Sequential(*layers)


class Block(nn.Module):
    """A transformer block that normalises first: attention, then an activation between linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention, self.before_linear = nn.LayerNorm(FEATURES), nn.LayerNorm(FEATURES)
        self.asked, self.attended = nn.Linear(FEATURES, 3 * FEATURES), nn.Linear(FEATURES, FEATURES)
        self.inner = nn.Sequential(nn.Linear(FEATURES, INNER), nn.ReLU(), nn.Linear(INNER, FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        """[N, tokens, FEATURES] -> the same shape."""
        x = x + self.attended(self._attention(self.before_attention(x)))
        result: Tensor = x + self.inner(self.before_linear(x))
        return result

    def _attention(self, x: Tensor) -> Tensor:
        parts = self.asked(x).unflatten(-1, (3, HEADS, FEATURES // HEADS)).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return heads.transpose(1, 2).flatten(2)


@model_factory
def transformer() -> nn.Module:
    """One block of 256 features and four heads, for sequences [n, 64, 256]."""
    return Block()


NETWORKS = {
    "CNN": Network(convolutions, (3, 32, 32), (1, 16)),
    "residual": Network(residual, (3, 32, 32), (1, 8)),
    "MLP": Network(perceptron, (784,), (1, 32)),
    "transformer": Network(transformer, (TOKENS, FEATURES), (1,)),
}
