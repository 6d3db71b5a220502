"""A snapshot brings everything back."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from adaptive_act.training.snapshot import Snapshot
from tests.adaptive_act.training.runs import backward, batches, network, optimizer_of, same, state_of


class Counting(nn.Module):
    """Has a buffer that a state_dict leaves out."""

    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1), persistent=False)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for x, y in batches(steps):
        backward(model, x, y)
        optimizer.step()


@pytest.mark.parametrize(
    "kind",
    [
        partial(torch.optim.AdamW, lr=1e-2),
        partial(torch.optim.SGD, lr=1e-2, momentum=0.9),
        partial(torch.optim.RMSprop, lr=1e-2),
    ],
    ids=lambda kind: kind.func.__name__,
)
def test_training_from_a_snapshot_repeats_bit_for_bit(
    kind: Callable[..., torch.optim.Optimizer],
) -> None:
    model = network()
    optimizer = kind(model.parameters())
    train(model, optimizer, 3)
    snapshot = Snapshot(model, optimizer)
    ends = []
    for _ in range(3):
        train(model, optimizer, 4)
        ends.append(state_of(model))
        snapshot.restore()
    assert same(ends[0], ends[1])
    assert same(ends[0], ends[2])


def test_it_restores_unsaved_buffers_and_clears_gradients() -> None:
    counting, linear = Counting(), nn.Linear(1, 1)
    model = nn.Sequential(counting, linear)
    snapshot = Snapshot(model)
    counting.count.add_(5)
    linear.weight.grad = torch.ones(1, 1)
    snapshot.restore()
    assert counting.count.item() == 0
    assert linear.weight.grad is None


def test_it_leaves_the_rate_to_whoever_schedules_it() -> None:
    model = network()
    optimizer = optimizer_of(model)
    snapshot = Snapshot(model, optimizer)
    optimizer.param_groups[0]["lr"] = 0.123
    snapshot.restore()
    assert optimizer.param_groups[0]["lr"] == 0.123


def test_parameters_outside_the_model_are_restored() -> None:
    model, temperature = network(), nn.Parameter(torch.ones(1))
    snapshot = Snapshot(model, torch.optim.SGD([*model.parameters(), temperature]))
    temperature.grad = torch.ones(1)
    with torch.no_grad():
        temperature.fill_(5.0)
    snapshot.restore()
    assert temperature.item() == 1.0
    assert temperature.grad is None


def test_a_buffer_that_came_later_is_left_alone() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    snapshot = Snapshot(model)
    model.register_buffer("late", torch.ones(1))
    snapshot.restore()
    assert model.get_buffer("late").item() == 1.0


def test_parameters_stay_the_same_objects() -> None:
    model = network()
    before = [id(p) for p in model.parameters()]
    Snapshot(model).restore()
    assert [id(p) for p in model.parameters()] == before


def test_an_expanded_buffer_stays_as_it_is() -> None:
    model = nn.Linear(1, 1)
    model.register_buffer("mask", torch.ones(1).expand(3))
    Snapshot(model).restore()
    assert model.get_buffer("mask").tolist() == [1, 1, 1]
