"""A factor on a rate acts in the step, and is seen nowhere else."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from adaptive_act.training.rate import Rate


def stepped(factors: list[float], schedule: Callable[[Optimizer], LRScheduler]) -> tuple[list[float], float]:
    """How far a parameter moved in each of three steps under a gradient of 1, and the rate after them."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = SGD([parameter], lr=1.0)
    scheduler = schedule(optimizer)
    for factor in factors:
        Rate(optimizer, [0]).factor = factor
    places = [0.0]
    for _ in range(3):
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        scheduler.step()
        places.append(-parameter.item())
    return [after - before for before, after in pairwise(places)], optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(
    "schedule",
    [lambda o: LambdaLR(o, lambda step: 0.9**step), lambda o: CosineAnnealingLR(o, 10)],
    ids=["recomputed", "recursive"],
)
@pytest.mark.parametrize("factors", [[0.5], [0.5, 0.25], [0.0]], ids=str)
def test_factors_multiply_what_a_scheduler_gives_and_leave_it_to_it(
    factors: list[float], schedule: Callable[[Optimizer], LRScheduler]
) -> None:
    alone, rate = stepped([], schedule)
    moved, rate_with_factors = stepped(factors, schedule)
    product = float(torch.tensor(factors, dtype=torch.float64).prod())
    assert moved == pytest.approx([product * step for step in alone], rel=1e-12, abs=1e-15)
    assert rate_with_factors == rate


def test_a_closed_factor_acts_no_more() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=1.0)
    rate = Rate(optimizer, [0])
    rate.factor = 0.5
    rate.close()
    parameter.grad = torch.ones(1)
    optimizer.step()
    assert parameter.item() == -1.0


def test_a_step_that_an_error_broke_off_leaves_no_lowered_rate_behind() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rate = Rate(optimizer, [0])
    rate.factor = 0.5

    def fails() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        optimizer.step(fails)
    rate.close()
    assert optimizer.param_groups[0]["lr"] == 1.0
    assert "scheduled_lr" not in optimizer.param_groups[0]
