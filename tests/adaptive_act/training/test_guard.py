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
from adaptive_act.training import Guard, Options, learned_parameters
from tests.adaptive_act.training.runs import (
    STEADY,
    backward,
    batches,
    network,
    optimizer_of,
    same,
    state_of,
    train,
)


def started(options: Options = STEADY, tries: int = 3) -> tuple[nn.Sequential, torch.optim.Optimizer, Guard]:
    """A run of five healthy steps."""
    model = network()
    optimizer = optimizer_of(model)
    guard = Guard(model, optimizer, tries=tries, options=options)
    assert train(model, guard, 5) == [True] * 5
    return model, optimizer, guard


def shot(model: nn.Module, factor: float = 1.0) -> torch.Tensor:
    """The loss, after its gradients, of a batch that is `factor` times too large."""
    ((x, y),) = batches(1, seed=9)
    return backward(model, x * factor, y * factor)


def test_a_healthy_run_is_the_run_without_a_guard() -> None:
    guarded, plain = network(), network()
    guard = Guard(guarded, optimizer_of(guarded))
    assert train(guarded, guard, 30) == [True] * 30
    optimizer = optimizer_of(plain)
    for x, y in batches(30):
        backward(plain, x, y)
        optimizer.step()
    assert same(state_of(guarded), state_of(plain))
    assert guard.events == []


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_loss_of_nan_rolls_back(poison: float) -> None:
    model, optimizer, guard = started(Options(keep_every=5))
    kept = state_of(model)
    memory = {key: value["exp_avg"].clone() for key, value in optimizer.state.items()}
    # The state kept at the fifth step is the one before it: that is where the loss was seen to be healthy.
    again = network()
    twin_optimizer = optimizer_of(again)
    for x, y in batches(4):
        backward(again, x, y)
        twin_optimizer.step()
    backward(again, *list(batches(5))[4])
    assert not guard.step(shot(model, poison))
    assert same(state_of(model), state_of(again))
    assert not same(state_of(model), kept)
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(optimizer.state[p]["exp_avg"], twin_optimizer.state[q]["exp_avg"])
        assert not torch.equal(optimizer.state[p]["exp_avg"], memory[p])
        assert p.grad is None


def test_each_rollback_halves_the_activations_rate() -> None:
    model, optimizer, guard = started()
    guard.step(shot(model, math.nan))
    assert guard.rate == 0.5
    (rolled_back,) = guard.events
    assert (rolled_back.what, rolled_back.step, rolled_back.rate) == ("rolled back", 6, 0.5)
    optimizer.state.clear()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    shot(model)
    # Adam's first step has the size of the rate, whatever the gradient.
    optimizer.step()
    moved = {name: (p - before[name]).abs().max().item() for name, p in model.named_parameters()}
    for name in learned_parameters(model):
        assert moved[name] == pytest.approx(0.5e-2, rel=1e-3)
    assert moved["0.weight"] == pytest.approx(1e-2, rel=2e-2)


@pytest.mark.parametrize("learns", [True, False])
def test_without_an_own_group_every_rate_is_halved(learns: bool) -> None:
    model = network() if learns else nn.Sequential(nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    guard = Guard(model, optimizer)
    guard.step(shot(model, math.nan))
    weight = model.get_parameter("0.weight")
    before = weight.detach().clone()
    shot(model)
    assert weight.grad is not None
    optimizer.step()
    assert torch.allclose(before - weight, 0.5 * weight.grad)


def test_a_scheduler_does_not_undo_the_lowered_rate() -> None:
    model, optimizer, guard = started()
    scheduler = LambdaLR(optimizer, lambda step: 0.9**step)
    guard.step(shot(model, math.nan))
    assert guard.step(shot(model))
    scheduler.step()
    assert guard.rate == 0.5
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.9e-2)


def test_after_the_last_try_it_stops_at_the_last_good_state(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, _, guard = started(tries=2)
    assert [guard.step(shot(model, math.nan)) for _ in range(2)] == [False, False]
    good = state_of(model)
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(DivergedError, match="after 2 rollbacks: stopped at step 8: loss is nan"),
    ):
        guard.step(shot(model, math.nan))
    assert same(state_of(model), good)
    assert all(tensor.isfinite().all() for tensor in good.values())
    assert [event.what for event in guard.events] == ["rolled back", "rolled back", "stopped"]
    assert "stopped at step 8" in caplog.text


def test_a_high_loss_is_suspected_then_rolled_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model, _, guard = started()
    with caplog.at_level(logging.INFO):
        assert [guard.step(backward(model, *next(batches(1))) + 1e3) for _ in range(2)] == [True, False]
    assert [(event.what, event.signal) for event in guard.events] == [
        ("suspected", "loss"),
        ("rolled back", "loss"),
    ]
    assert "suspected at step 6: loss is 10" in caplog.text


def test_gradients_are_skipped_then_rolled_back() -> None:
    model, _, guard = started(Options(settle=3, patience=3, loss=math.inf, output=math.inf))
    before = {name: p.clone() for name, p in model.named_parameters()}
    assert not guard.step(shot(model, 1e3))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert guard.step(shot(model))
    assert [guard.step(shot(model, 1e3)) for _ in range(3)] == [False] * 3
    assert [event.what for event in guard.events] == ["skipped"] * 3 + ["rolled back"]
    assert {event.signal for event in guard.events} == {"gradient norm"}


def test_an_activation_whose_output_explodes_is_named() -> None:
    model, _, guard = started(Options(settle=3, patience=2, read_every=1, loss=math.inf, gradient=math.inf))
    with torch.no_grad():
        model.get_parameter("2.alpha").fill_(1e4)
    assert [guard.step(shot(model)) for _ in range(2)] == [True, False]
    assert guard.events[-1].signal == "output of `2`"
    assert model.get_parameter("2.alpha").item() < 2


def test_an_exploding_output_in_an_accumulated_step_counts() -> None:
    model, _, guard = started(Options(settle=3, patience=1, read_every=1, loss=math.inf, gradient=math.inf))
    alpha = model.get_parameter("2.alpha")
    with torch.no_grad():
        alpha.mul_(1e4)
        model(next(batches(1))[0])
        alpha.div_(1e4)
    assert not guard.step(shot(model))
    assert guard.events[-1].signal == "output of `2`"


def test_outputs_are_read_rarely_once_the_run_has_settled() -> None:
    model, _, guard = started(Options(settle=3, read_every=100))
    shot(model)
    assert not guard._scales


def test_a_state_under_suspicion_is_not_kept() -> None:
    model, _, guard = started(Options(settle=3, patience=4, keep_every=1, gradient=math.inf, output=math.inf))
    good = guard._good_step
    for _ in range(3):
        guard.step(shot(model) + 1e3)
    assert guard._good_step == good
    guard.step(shot(model))
    assert guard._good_step == guard.steps


def test_it_clips_what_it_let_through() -> None:
    model = network()
    guard = Guard(model, optimizer_of(model), options=Options(clip_norm=1e-3))
    assert guard.step(shot(model))
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    assert norm.item() == pytest.approx(1e-3, rel=1e-3)


def test_accumulated_gradients_are_one_step() -> None:
    model = network()
    guard = Guard(model, optimizer_of(model), options=STEADY)
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
    guard = Guard(model, optimizer_of(model), options=STEADY)
    with torch.autocast("cpu", torch.bfloat16):
        assert train(model, guard, 8) == [True] * 8
        assert not guard.step(shot(model, math.nan))
    assert all(p.isfinite().all() for p in model.parameters())


def test_the_scaler_handles_overflow_and_the_guard_nan() -> None:
    model = network()
    optimizer = optimizer_of(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
    guard = Guard(model, optimizer, options=STEADY, scaler=scaler)
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
    model, optimizer, guard = started(tries=2)
    guard.step(shot(model, math.nan))
    state = json.loads(json.dumps(pickle.loads(pickle.dumps(guard.state_dict()))))
    guard.close()
    resumed = Guard(model, optimizer, tries=2, options=STEADY)
    resumed.load_state_dict(state)
    assert (resumed.steps, resumed.rate) == (guard.steps, 0.5)
    assert [str(event) for event in resumed.events] == [str(event) for event in guard.events]
    good = state_of(model)
    assert resumed.step(shot(model) + 1e3)
    assert resumed.events[-1].what == "suspected"
    assert not resumed.step(shot(model, math.nan))
    assert same(state_of(model), good)
    with pytest.raises(DivergedError):
        resumed.step(shot(model, math.nan))


def test_closing_takes_every_hook_out() -> None:
    model = network()
    optimizer = optimizer_of(model)
    with Guard(model, optimizer):
        assert model[2]._forward_hooks
        assert optimizer._optimizer_step_pre_hooks
    assert not model[2]._forward_hooks
    assert not optimizer._optimizer_step_pre_hooks


def test_a_run_that_would_be_lost_is_brought_to_an_end() -> None:
    """A rate at which the cubic term blows up: without a guard NaN, with it a finite loss or a clear stop."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 32), NEAAF(gamma=1.0), nn.Linear(32, 32), NEAAF(gamma=1.0), nn.Linear(32, 1)
    )
    start = state_of(model)

    def run(guarded: bool) -> float:
        model.load_state_dict(start)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        guard = Guard(model, optimizer, tries=12, options=Options(settle=3, keep_every=5))
        for x, y in batches(150):
            loss = backward(model, x, y)
            _ = guard.step(loss) if guarded else optimizer.step()
        guard.close()
        return torch.nn.functional.mse_loss(model(x), y).item()

    assert math.isnan(run(guarded=False))
    assert run(guarded=True) < 3.0


def test_fewer_than_no_tries_are_refused() -> None:
    model = network()
    with pytest.raises(ValueError, match="0 or more tries, got -1"):
        Guard(model, optimizer_of(model), tries=-1)
