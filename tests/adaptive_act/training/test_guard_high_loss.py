"""What the guard does about a loss that is finite and stays high."""

import itertools
import logging
import math

import pytest
import torch

from adaptive_act.errors import DivergedError
from adaptive_act.training import Options
from tests.adaptive_act.training.runs import compute_loss, start, state_of, train


def test_a_high_loss_that_stays_is_rolled_back(caplog: pytest.LogCaptureFixture) -> None:
    model, _, guard = start()
    with caplog.at_level(logging.INFO):
        said = [guard.step(compute_loss(model) + height) for height in (1e3, 2e3)]
    assert said == [True, False]
    assert [(event.what, event.signal) for event in guard.events] == [("rolled back", "loss")]
    assert "rolled back at step 8: loss is 200" in caplog.text


def test_after_a_rollback_the_loss_has_to_stay_high_anew() -> None:
    model, _, guard = start()
    said = [guard.step(compute_loss(model) + 1e3 * 2**step) for step in range(4)]
    assert said == [True, False, True, False]


def test_a_new_level_of_the_loss_is_accepted() -> None:
    """Harder data raise the loss for good: a state that was good before does not lower it."""
    model, _, guard = start(Options(recent=10, window=20, keep_every=3), steps=30)
    said = [guard.step(compute_loss(model) + 1e3 + step) for step in range(60)]
    assert said.count(False) == 1
    assert [event.what for event in guard.events] == ["rolled back", "accepted"]
    assert (guard.rate, guard.rollbacks) == (1.0, 0)


def test_a_loss_that_rises_again_after_a_rollback_is_no_new_level() -> None:
    model, _, guard = start(Options(recent=10, window=20, keep_every=3), steps=30)
    for expected in (1, 2):
        rise = itertools.count(-6)
        while len(guard.events) < expected:
            guard.step(compute_loss(model) + 10.0 ** next(rise))
    assert [event.what for event in guard.events] == ["rolled back", "rolled back"]
    assert guard.rate == 0.25


def test_a_high_loss_after_the_last_try_is_accepted() -> None:
    """Clipping alone would go on as well; only what is not finite ends the run."""
    model, _, guard = start(Options(recent=10, window=20, keep_every=3), tries=1, steps=30)
    for expected in (1, 2):
        rise = itertools.count(-6)
        while len(guard.events) < expected:
            guard.step(compute_loss(model) + 10.0 ** next(rise))
    assert [event.what for event in guard.events] == ["rolled back", "accepted"]
    assert guard.rate == 0.5
    with pytest.raises(DivergedError):
        guard.step(compute_loss(model, math.nan))


def test_a_state_is_older_than_the_divergence_it_is_restored_from() -> None:
    """The high loss begins right after a state was kept; two more are kept before it is noticed."""
    model, _, guard = start(Options(recent=6, window=5, keep_every=3))
    train(model, guard, 6)
    healthy = state_of(model)
    with torch.no_grad():
        model.get_parameter("2.alpha").add_(3.0)
    while guard.step(compute_loss(model) + 1e3 * guard.steps):
        pass
    assert model.get_parameter("2.alpha").item() < 2.0 < healthy["2.alpha"].item() + 3.0


def test_the_activation_that_grew_is_named() -> None:
    model, _, guard = start()
    with torch.no_grad():
        model.get_parameter("2.alpha").fill_(1e4)
    while guard.step(compute_loss(model) + 1e3 * guard.steps):
        pass
    (event,) = guard.events
    assert event.layer == "2"
    assert event.growth > 1e3
    assert "output of `2` grew" in str(event)
    assert model.get_parameter("2.alpha").item() < 2
