"""Schedules say when activations move, how fast and how strongly, whatever schedules the rates."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from adaptive_act import NEAAF, PReLU, named_activations, swap
from adaptive_act.training import Freeze, GammaRamp, Schedule, Schedules, WarmUp, learned_parameters
from adaptive_act.training.schedule import RateFactor
from tests.adaptive_act.training.runs import backward, batches, cubic, network, optimizer_of

RATE = 1e-2


def moves(model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, steps: int) -> list[float]:
    """How far NEAAF's α moved in each step."""
    alpha = model.get_parameter("2.alpha")
    places = [alpha.item()]
    for x, y in batches(steps):
        backward(model, x, y)
        optimizer.step()
        schedule.step()
        places.append(alpha.item())
    return [abs(after - before) for before, after in pairwise(places)]


@pytest.mark.parametrize(
    "kind", [torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9)], ids=["AdamW", "SGD"]
)
def test_frozen_activations_train_after_the_freeze(
    kind: Callable[..., torch.optim.Optimizer],
) -> None:
    model = network()
    optimizer = kind(model.parameters(), lr=RATE)
    moved = moves(model, optimizer, Freeze(model, 3), 6)
    assert moved[:3] == [0.0] * 3
    assert min(moved[3:]) > 0


@pytest.mark.parametrize(
    "kind", [torch.optim.AdamW, partial(torch.optim.SGD, momentum=0.9)], ids=["AdamW", "SGD"]
)
def test_momentum_does_not_move_frozen_parameters(
    kind: Callable[..., torch.optim.Optimizer],
) -> None:
    model = network()
    optimizer = kind(model.parameters(), lr=RATE)
    for x, y in batches(3):
        backward(model, x, y)
        optimizer.step()
    assert moves(model, optimizer, Freeze(model, 4), 4) == [0.0] * 4


def test_a_gradient_from_before_freezing_is_dropped() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    backward(model, *next(batches(1)))
    Freeze(model, 1)
    optimizer.step()
    assert model.get_parameter("2.alpha").item() == 1.0


def test_freezing_releases_only_what_it_froze() -> None:
    model = network()
    model.get_parameter("2.alpha").requires_grad_(False)
    freeze = Freeze(model, 1)
    assert not any(p.requires_grad for p in learned_parameters(model).values())
    freeze.step()
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"2.alpha"}


def test_a_warm_up_raises_the_rate_linearly_from_its_hold() -> None:
    model = network()
    optimizer = optimizer_of(model, RATE)
    # Adam's steps are of the size of the rate while the gradient keeps its sign.
    model.get_parameter("2.alpha").register_hook(torch.ones_like)  # type: ignore[no-untyped-call]
    moved = moves(model, optimizer, WarmUp(model, optimizer, steps=6, hold=2), 8)
    expected = [0, 0, 0, 1 / 4, 2 / 4, 3 / 4, 1, 1]
    assert moved == pytest.approx([RATE * share for share in expected], rel=1e-3, abs=1e-9)


def test_a_warm_up_leaves_weights_and_scheduler_alone() -> None:
    model = network()
    optimizer = optimizer_of(model, RATE)
    scheduler = LambdaLR(optimizer, lambda step: 0.5**step)
    warm_up = WarmUp(model, optimizer, steps=4)
    before = model.get_parameter("0.weight").clone()
    moves(model, optimizer, warm_up, 1)
    scheduler.step()
    assert (model.get_parameter("0.weight") - before).abs().max().item() == pytest.approx(RATE, rel=0.02)
    assert [group["lr"] for group in optimizer.param_groups] == [RATE / 2] * 3


def test_gamma_climbs_to_the_bit_of_its_own_value() -> None:
    first, second = NEAAF(gamma=0.1), NEAAF(gamma=0.3)
    model = nn.Sequential(first, PReLU(), second)
    ramp = GammaRamp(model, steps=4, start=0.02)
    seen = []
    for _ in range(6):
        seen.append((first.gamma, second.gamma))
        ramp.step()
    assert [gamma for gamma, _ in seen] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1, 0.1])
    assert seen[-1] == (0.1, 0.3)


def test_a_varying_gamma_recompiles_a_model_once() -> None:
    model = nn.Sequential(NEAAF(gamma=0.1, beta=1.0))
    graphs: list[object] = []

    def count(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    compiled, ramp = torch.compile(model, backend=count), GammaRamp(model, steps=6)
    for _ in range(7):
        assert torch.equal(compiled(torch.ones(1)), model(torch.ones(1)))
        ramp.step()
    assert len(graphs) == 2


def test_the_record_of_the_swap_follows_gamma() -> None:
    """A checkpoint is built from the record, and has to compute what the model computed."""
    model = swap(nn.Sequential(nn.ReLU()), {nn.ReLU: NEAAF}).model
    with torch.no_grad():
        model.get_parameter("0.beta").fill_(1.0)
    GammaRamp(model, steps=2).step()
    (activation,) = named_activations(model).values()
    assert activation.site is not None
    assert activation.site.options["gamma"] == 0.05
    assert model(torch.tensor([2.0])).item() == pytest.approx(2.0 + 0.05 * 8.0)


@pytest.mark.parametrize("kind", ["freeze", "warm-up", "ramp", "all"])
def test_a_resumed_schedule_goes_on_where_it_was(kind: str) -> None:
    def schedule(model: nn.Module) -> Schedule | Schedules:
        optimizer = optimizer_of(model)
        made: dict[str, Schedule] = {
            "freeze": Freeze(model, 3),
            "warm-up": WarmUp(model, optimizer, 3),
            "ramp": GammaRamp(model, 3),
        }
        return Schedules(*made.values()) if kind == "all" else made[kind]

    def shown(model: nn.Sequential, acting: Schedule | Schedules) -> tuple[object, ...]:
        return acting.state_dict(), cubic(model).gamma, [p.requires_grad for p in model.parameters()]

    model, other = network(), network()
    first, resumed = schedule(model), schedule(other)
    first.step()
    first.step()
    resumed.load_state_dict(first.state_dict())
    for _ in range(3):
        assert shown(model, first) == shown(other, resumed)
        first.step()
        resumed.step()


def test_a_resumed_ramp_ends_at_its_final_gamma() -> None:
    model = nn.Sequential(NEAAF(gamma=0.1))
    ramp = GammaRamp(model, steps=2)
    ramp.step()
    half_way = nn.Sequential(NEAAF(gamma=cubic(model, 0).gamma))
    resumed = GammaRamp(half_way, steps=2)
    resumed.load_state_dict(ramp.state_dict())
    resumed.step()
    assert cubic(half_way, 0).gamma == 0.1


def test_wrong_arguments_are_refused() -> None:
    model = network()
    optimizer = optimizer_of(model)
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        Freeze(model, 0)
    with pytest.raises(ValueError, match="hold from 0 to 2, got 3"):
        WarmUp(model, optimizer, 3, hold=3)
    with pytest.raises(ValueError, match=r"groups \[0\] of the optimiser hold more than learned parameters"):
        WarmUp(model, torch.optim.SGD(model.parameters()), 3)
    with pytest.raises(ValueError, match="found no NEAAF in `Linear`"):
        GammaRamp(nn.Linear(1, 1), 3)


def stepped(factors: list[float], schedule: Callable[[Optimizer], LRScheduler]) -> tuple[list[float], float]:
    """How far a parameter moved in each of three steps under a gradient of 1, and the rate after them."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = SGD([parameter], lr=1.0)
    scheduler = schedule(optimizer)
    for factor in factors:
        RateFactor(optimizer, [0]).factor = factor
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
def test_factors_multiply_the_schedulers_rate(
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
    rate = RateFactor(optimizer, [0])
    rate.factor = 0.5
    rate.close()
    parameter.grad = torch.ones(1)
    optimizer.step()
    assert parameter.item() == -1.0


def test_a_failed_step_restores_the_rate() -> None:
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    rate = RateFactor(optimizer, [0])
    rate.factor = 0.5

    def fails() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        optimizer.step(fails)
    rate.close()
    assert optimizer.param_groups[0]["lr"] == 1.0
    assert "scheduled_lr" not in optimizer.param_groups[0]


def test_the_step_after_a_failed_one_has_its_own_rate() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = SGD([parameter], lr=1.0)
    for groups in ([0], None):
        RateFactor(optimizer, groups).factor = 0.5

    def fails() -> float:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            optimizer.step(fails)
    parameter.grad = torch.ones(1)
    optimizer.step()
    assert parameter.item() == -0.25
    assert optimizer.param_groups[0]["lr"] == 1.0
