"""The guard lets a healthy run be, and brings a diverging one back."""

import json
import logging
import math
import pickle

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from adaptive_act import NEAAF
from adaptive_act.errors import DivergedError
from adaptive_act.training import Guard, Options, parameter_groups
from tests.adaptive_act.training.runs import (
    QUICK,
    backward,
    batches,
    compute_loss,
    network,
    optimizer_of,
    same,
    start,
    state_of,
    train,
)


def gradient_norm(model: nn.Module) -> float:
    return torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None]).item()


@pytest.mark.parametrize("clip_norm", [None, 1e-2, 1.0])
def test_a_healthy_run_is_the_run_with_clipping_alone(clip_norm: float | None) -> None:
    guarded, alone = network(), network()
    guard = Guard(guarded, optimizer_of(guarded), options=Options(clip_norm=clip_norm))
    assert train(guarded, guard, 30) == [True] * 30
    optimizer = optimizer_of(alone)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for x, y in batches(30):
        backward(alone, x, y)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
    assert same(state_of(guarded), state_of(alone))
    assert guard.events == []


def test_gradients_are_clipped_unless_told_otherwise() -> None:
    norms = []
    for options in (None, Options(clip_norm=1e-3), Options(clip_norm=None)):
        model = network()
        assert Guard(model, optimizer_of(model), options=options).step(compute_loss(model, 30.0))
        norms.append(gradient_norm(model))
    assert norms[:2] == pytest.approx([1.0, 1e-3], rel=1e-3)
    assert norms[2] > 100


def test_gradients_that_clipping_tames_are_no_divergence() -> None:
    model, _, guard = start(Options(recent=2, window=5, loss=1e9))
    assert all(guard.step(compute_loss(model, 1e3)) for _ in range(10))
    assert guard.events == []


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_loss_of_nan_rolls_back(poison: float) -> None:
    """States are kept before the second, fourth and sixth step, the last two of them at a time."""
    model, optimizer, guard = start(Options(keep_every=2))
    twin = network()
    twin_optimizer = optimizer_of(twin)
    twin_guard = Guard(twin, twin_optimizer)
    train(twin, twin_guard, 3)
    (*_, (x, _)) = batches(4)
    twin(x)  # for the running statistics, which the fourth step's forward pass had moved already
    assert not same(state_of(model), state_of(twin))
    assert not guard.step(compute_loss(model, poison))
    assert same(state_of(model), state_of(twin))
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(optimizer.state[p]["exp_avg"], twin_optimizer.state[q]["exp_avg"])
        assert p.grad is None


def test_a_gradient_of_infinity_rolls_back() -> None:
    model, _, guard = start()
    loss = compute_loss(model)
    model.get_parameter("0.weight").grad = torch.full((8, 4), math.inf)
    assert not guard.step(loss)
    assert guard.events[0].signal == "gradient norm"


@pytest.mark.parametrize(
    "optimizer_kind", [torch.optim.SGD, torch.optim.AdamW], ids=lambda kind: kind.__name__
)
def test_each_rollback_lowers_every_rate(
    optimizer_kind: type[torch.optim.SGD] | type[torch.optim.AdamW],
) -> None:
    def move(rollbacks: int) -> dict[str, torch.Tensor]:
        model = network().double()
        optimizer = optimizer_kind(parameter_groups(model, lr=1e-2, activation_lr=1e-3))
        guard = Guard(model, optimizer, options=QUICK)
        ((x, y),) = batches(1)
        for _ in range(rollbacks):
            assert not guard.step(backward(model, x.double() * math.nan, y.double()))
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        assert guard.step(backward(model, x.double(), y.double()))
        return {name: p.detach() - before[name] for name, p in model.named_parameters()}

    moved, slower = move(0), move(2)
    for name, change in moved.items():
        assert torch.allclose(slower[name], change / 4, rtol=1e-9), name


def test_a_group_that_joins_later_slows_down_too() -> None:
    model = network()
    optimizer = torch.optim.SGD([model.get_parameter("0.weight")], lr=1.0)
    guard = Guard(model, optimizer)
    guard.step(compute_loss(model, math.nan))
    bias = model.get_parameter("5.bias")
    optimizer.add_param_group({"params": [bias]})
    before = bias.detach().clone()
    compute_loss(model)
    assert bias.grad is not None
    optimizer.step()
    assert torch.allclose(before - bias, 0.5 * bias.grad)


def test_the_rollback_is_in_the_events() -> None:
    model, _, guard = start()
    guard.step(compute_loss(model, math.nan))
    (event,) = guard.events
    assert (event.what, event.step, event.signal, event.rate) == ("rolled back", 7, "loss", 0.5)


def test_a_scheduler_does_not_undo_the_lowered_rate() -> None:
    model, optimizer, guard = start()
    scheduler = LambdaLR(optimizer, lambda step: 0.9**step)
    guard.step(compute_loss(model, math.nan))
    assert guard.step(compute_loss(model))
    scheduler.step()
    assert guard.rate == 0.5
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.9e-2] * 3)


def test_after_the_last_try_it_stops_at_the_last_good_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, _, guard = start(tries=2)
    assert [guard.step(compute_loss(model, math.nan)) for _ in range(2)] == [False, False]
    good = state_of(model)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(DivergedError, match="after 2 rollbacks: stopped at step 9: loss is nan"),
    ):
        guard.step(compute_loss(model, math.nan))
    assert same(state_of(model), good)
    assert all(tensor.isfinite().all() for tensor in good.values())
    assert [event.what for event in guard.events] == ["rolled back", "rolled back", "stopped"]
    assert "stopped at step 9" in caplog.text


def test_accumulated_gradients_are_one_step() -> None:
    model = network()
    guard = Guard(model, optimizer_of(model), options=QUICK)
    for _ in range(6):
        losses = [backward_part(model, x, y) for x, y in batches(4)]
        assert guard.step(torch.stack(losses).sum())
        model.zero_grad()
    assert guard.steps == 6


def backward_part(model: nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    loss = torch.nn.functional.mse_loss(model(x), y) / 4
    torch.autograd.backward(loss)
    return loss.detach()


def test_it_works_under_autocast_with_bfloat16() -> None:
    model = network()
    guard = Guard(model, optimizer_of(model), options=QUICK)
    with torch.autocast("cpu", torch.bfloat16):
        assert train(model, guard, 8) == [True] * 8
        assert not guard.step(compute_loss(model, math.nan))
    assert all(p.isfinite().all() for p in model.parameters())


def test_the_scaler_handles_overflow_and_the_guard_nan() -> None:
    model = network()
    optimizer = optimizer_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    guard = Guard(model, optimizer, options=QUICK, scaler=scaler)
    stepped = []
    for x, y in batches(20):
        model.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y) * 1e3
        torch.autograd.backward(scaler.scale(loss))
        stepped.append(guard.step(loss))
    assert stepped[0] is False
    assert stepped[-1] is True
    assert guard.events == []
    assert not guard.step(loss * math.nan)
    assert guard.rollbacks == 1


def test_a_resumed_guard_goes_on_where_it_was() -> None:
    model, optimizer, guard = start(tries=2)
    guard.step(compute_loss(model, math.nan))
    state = json.loads(json.dumps(pickle.loads(pickle.dumps(guard.state_dict()))))
    guard.close()
    resumed = Guard(model, optimizer, tries=2, options=QUICK)
    resumed.load_state_dict(state)
    assert (resumed.steps, resumed.rate) == (guard.steps, 0.5)
    assert [str(event) for event in resumed.events] == [str(event) for event in guard.events]
    good = state_of(model)
    assert [resumed.step(compute_loss(model) + height) for height in (1e3, 2e3)] == [True, False]
    assert same(state_of(model), good)
    with pytest.raises(DivergedError):
        resumed.step(compute_loss(model, math.nan))


def test_closing_takes_every_hook_out() -> None:
    model = network()
    optimizer = optimizer_of(model)
    with Guard(model, optimizer):
        assert model[2]._forward_hooks
        assert optimizer._optimizer_step_pre_hooks
    assert not model[2]._forward_hooks
    assert not optimizer._optimizer_step_pre_hooks


def test_a_run_that_clipping_alone_loses_learns() -> None:
    """A rate at which the cubic term blows up, although its gradients are clipped."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 32), NEAAF(gamma=1.0), nn.Linear(32, 32), NEAAF(gamma=1.0), nn.Linear(32, 1)
    )
    begin = state_of(model)

    def run(guarded: bool) -> float:
        model.load_state_dict(begin)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
        with Guard(model, optimizer) as guard:
            for x, y in batches(200):
                loss = backward(model, x, y)
                if guarded:
                    guard.step(loss)
                else:
                    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                    optimizer.step()
        return torch.nn.functional.mse_loss(model(x), y).item()

    assert math.isnan(run(guarded=False))
    assert run(guarded=True) < 2


def test_fewer_than_no_tries_are_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match="0 or more tries, got -1"):
        Guard(model, optimizer_of(model), tries=-1)


def test_a_loss_of_several_numbers_is_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match=r"one number, got \[3\]: give its mean"):
        Guard(model, optimizer_of(model)).step(torch.ones(3))
