import math
from typing import get_args

import pytest
import torch
from torch import nn

from adaptive_act import PReLU
from adaptive_act.study.optimizer import WARM_UP, make_optimizer, make_schedule
from adaptive_act.study.specs import Optimizer, Schedule, Training


def follow(schedule: Schedule, steps: int, activation_lr: float | None = None) -> list[list[float]]:
    """The rates of weights and activations at each step."""
    training = Training(schedule=schedule, activation_lr=activation_lr)
    optimizer = make_optimizer(nn.Sequential(nn.Linear(2, 2), PReLU()), training, 0.1)
    scheduled = make_schedule(optimizer, training, steps)
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups if group["name"] != "biases"])
        optimizer.step()
        scheduled.step()
    return rates


def test_cosine_rises_linearly_and_falls_to_nothing() -> None:
    rates = [rate for rate, _ in follow("cosine", 200)]
    rise = round(200 * WARM_UP)
    assert rates[:rise] == pytest.approx([0.1 * (step + 1) / (rise + 1) for step in range(rise)])
    fall = [0.05 * (1 + math.cos(math.pi * step / (200 - rise))) for step in range(200 - rise)]
    assert rates[rise:] == pytest.approx(fall)


def test_one_cycle_rises_for_three_tenths_and_falls_to_nothing() -> None:
    rates = [rate for rate, _ in follow("onecycle", 201)]
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates.index(max(rates)) == pytest.approx(60, abs=1)
    assert max(rates) == pytest.approx(0.1, rel=1e-3)
    assert rates[-1] < 1e-6


def test_a_constant_rate_stays() -> None:
    assert follow("constant", 5) == [[0.1, 0.1]] * 5


@pytest.mark.parametrize("schedule", get_args(Schedule))
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_few_steps_have_rates_too(schedule: Schedule, steps: int) -> None:
    assert all(0 <= rate <= 0.1 for rates in follow(schedule, steps) for rate in rates)
    assert any(rate > 0.01 for rates in follow(schedule, steps) for rate in rates)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_activations_keep_their_share_of_the_rate(schedule: Schedule) -> None:
    for weights, activations in follow(schedule, 20, activation_lr=0.01):
        assert activations == pytest.approx(weights / 10, rel=1e-3)


@pytest.mark.parametrize(
    ("optimizer", "lr", "expected"),
    [("adamw", 1e-3, 1e-2), ("adam", 1e-2, 0.03), ("adamw", 0.1, 0.1), ("sgd", 0.1, 0.01)],
)
def test_activations_have_the_rate_that_is_safe_with_the_optimizer(
    optimizer: Optimizer, lr: float, expected: float
) -> None:
    made = make_optimizer(nn.Sequential(nn.Linear(2, 2), PReLU()), Training(optimizer=optimizer), lr)
    assert [group["lr"] for group in made.param_groups] == pytest.approx([lr, lr, expected])


@pytest.mark.parametrize("optimizer", get_args(Optimizer))
def test_activations_do_not_decay(optimizer: Optimizer) -> None:
    activation = PReLU()
    before = activation.values()
    training = Training(optimizer=optimizer, weight_decay=0.5)
    weights = nn.Linear(2, 2)
    made = make_optimizer(nn.Sequential(weights, activation), training, 0.1)
    size = weights.weight.norm()
    for parameter in [*weights.parameters(), *activation.parameters()]:
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    assert activation.values() == before
    assert weights.weight.norm() < size
