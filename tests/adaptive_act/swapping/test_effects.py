"""What a forward does besides computing its outputs stays after a swap, which does none of it itself."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act import PELU, PReLU, SwapError, named_activations, swap

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


class Detached(nn.Module):
    """Computes its hidden layer without gradients, by one of the ways."""

    def __init__(self, mode: Callable[[], AbstractContextManager[object]]) -> None:
        super().__init__()
        self.first, self.last, self.mode = nn.Linear(3, 3), nn.Linear(3, 3), mode

    def forward(self, x: Tensor) -> Tensor:
        with self.mode():
            hidden = F.relu(self.first(x))
        answer: Tensor = self.last(hidden)
        return answer


class Decorated(Detached):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.first(x))


def test_gradients_stay_off_where_a_forward_turns_them_off() -> None:
    swapped = swap(Detached(torch.no_grad), {nn.ReLU: PReLU}).model
    swapped(X).sum().backward()
    assert [name for name, p in swapped.named_parameters() if p.grad is not None] == [
        "last.weight",
        "last.bias",
    ]
    with pytest.raises(SwapError, match="turns gradients or autocast on or off"):
        swap(Decorated(torch.no_grad), {nn.ReLU: PReLU})


def test_autocast_stays_on_where_a_forward_turns_it_on() -> None:
    swapped = swap(Detached(lambda: torch.autocast("cpu", torch.bfloat16)), {nn.ReLU: PReLU}).model
    seen: list[torch.dtype] = []
    swapped.get_submodule("relu").register_forward_hook(lambda _, __, y: seen.append(y.dtype))
    swapped.get_submodule("last").register_forward_pre_hook(lambda _, x: (x[0].float(),))
    swapped(X)
    assert seen == [torch.bfloat16]


class Viewing(nn.Module):
    """Works in place on a view of what it gives back, and on one of what it does not."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.relu, self.elu = nn.Linear(3, 3), nn.ReLU(inplace=True), nn.ELU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        self.relu(hidden.flatten()[1:])
        result: Tensor = hidden + self.elu(self.linear(x).flatten(1))
        return result


def test_what_works_in_place_on_a_view_of_a_used_value_is_left() -> None:
    model = Viewing()
    done = swap(model, {nn.ReLU: PReLU, nn.ELU: PELU})
    assert torch.equal(done.model(X), model(X))
    assert list(named_activations(done.model)) == ["elu"]
    assert "works in place on a value that is used again" in done.report.skipped[0].reason
