"""What a forward does besides computing its outputs stays after a swap, which does none of it itself."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import PReLU, named_activations, swap

X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


class Recording(nn.Module):
    """Notes its calls in every way in which a module may."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.latest: Tensor | None = None
        self.outputs: list[Tensor] = []
        self.by_number: dict[int, Tensor] = {}
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        self.latest = F.relu(self.linear(x))
        self.outputs.append(self.latest)
        self.by_number[len(self.outputs)] = self.latest
        return self.latest

    def list_notes(self) -> list[object]:
        """What it has noted."""
        return [int(self.calls), self.latest, self.outputs, self.by_number]


class Sometimes(nn.Module):
    """Leaves its layer out by chance in training."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.draw, self.share = draw, 0.0

    def forward(self, x: Tensor) -> Tensor:
        if self.training and self.draw() < self.share:
            return x
        return F.relu(self.linear(x))


def read_states() -> list[str]:
    """The states of the random generators."""
    return [repr(random.getstate()), repr(np.random.get_state()), repr(torch.get_rng_state().tolist())]


def test_a_forward_goes_on_noting_its_calls() -> None:
    model = Recording()
    swapped = swap(model, {nn.ReLU: PReLU}).model
    assert isinstance(swapped, Recording)
    assert [fresh.list_notes() for fresh in (model, swapped)] == [[0, None, [], {}]] * 2
    y = swapped(X)
    assert swapped.list_notes() == [1, y, [y], {1: y}]


@pytest.mark.parametrize(
    "draw", [random.random, lambda: float(np.random.random()), lambda: torch.rand(()).item()]
)
def test_a_forward_goes_on_drawing_random_numbers(draw: Callable[[], float]) -> None:
    model = Sometimes(draw)
    before = read_states()
    swapped = swap(model, {nn.ReLU: PReLU}).model.train()
    assert read_states() == before
    assert list(named_activations(swapped)) == ["relu"]
    swapped.share = 1.0  # type: ignore[assignment]  # a number
    assert swapped(X) is X
