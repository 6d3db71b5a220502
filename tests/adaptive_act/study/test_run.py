from dataclasses import replace
from typing import get_args

import pytest
import torch
from scipy.stats import binom

from adaptive_act.errors import DataError
from adaptive_act.study.data import LabelledTensors, load_dataset
from adaptive_act.study.plan import make_run_spec
from adaptive_act.study.run import BEYOND_CHANCE, build_untrained, chance_bound, run, run_trial
from adaptive_act.study.specs import Optimizer, RunSpec, Schedule, Training
from adaptive_act.training import Event, Guard
from tests.adaptive_act.study.models import plan

FAST = Training(epochs=2, batch=64, schedule="constant")


def spec(variant: str = "PReLU", seed: int = 0, lr: float = 1e-2, training: Training = FAST) -> RunSpec:
    asked = plan(*() if variant == "ReLU" else (variant,), rates=(lr,), training=training)
    return make_run_spec(asked, load_dataset(asked.data).digest, variant, seed)


def test_equal_specs_give_equal_weights_on_any_thread_count() -> None:
    first = run(spec())
    load_dataset.cache_clear()
    torch.set_num_threads(2)
    try:
        torch.manual_seed(123)
        second = run(spec())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert first.result == second.result
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_it_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(spec())
    assert torch.equal(torch.rand(3), expected)


def test_another_seed_is_another_run() -> None:
    assert run(spec(seed=0)).result.curves != run(spec(seed=1)).result.curves


def test_a_frozen_fixed_point_repeats_the_baseline() -> None:
    plain, frozen = run(spec("ReLU")).result, run(spec("PReLU frozen")).result
    assert frozen.at_fixed_point
    assert (frozen.score, frozen.curves) == (plain.score, plain.curves)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", get_args(Optimizer))
@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_it_learns(optimizer: str, schedule: str) -> None:
    training = Training(20, 32, optimizer=optimizer, schedule=schedule)  # type: ignore[arg-type]
    result = run(spec("NEAAF", training=training)).result
    assert result.score > 0.85
    assert result.diverged is None
    assert len(result.curves.training_loss) == 20
    assert result.parameters_added == 2


def test_a_run_whose_loss_is_not_finite_ends_and_says_so() -> None:
    result = run(spec("ELU", lr=1e30, training=replace(FAST, optimizer="sgd", epochs=5))).result
    assert result.diverged is not None
    assert "not finite" in result.diverged
    assert len(result.curves.training_loss) < 5


def test_a_run_that_only_guesses_counts_as_diverged() -> None:
    result = run(spec(lr=1e-12)).result
    assert result.diverged is not None
    assert "at chance" in result.diverged


def test_what_luck_can_give_is_a_little_above_chance() -> None:
    data = load_dataset(spec().data)
    assert data.chance < chance_bound(data) < data.chance + 0.07
    assert chance_bound(data) == binom.ppf(BEYOND_CHANCE, len(data.test), data.chance) / len(data.test)


def test_patience_keeps_the_best_epoch() -> None:
    training = replace(FAST, epochs=60, patience=2)
    done = run(spec(lr=0.05, training=training))
    losses = done.result.curves.validation_loss
    assert len(losses) < 60
    assert min(losses) == losses[-3]


def test_a_guard_rolls_back_and_counts_it() -> None:
    training = replace(FAST, epochs=3, optimizer="sgd", guard_tries=1, activation_lr=1e3)
    result = run(spec("NEAAF(gamma=1000)", lr=1e3, training=training)).result
    assert result.rollbacks == 1
    assert result.diverged is not None


def test_a_rollback_that_was_mistaken_is_counted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    check = Guard.check

    def roll_back_once(guard: Guard, loss: torch.Tensor) -> bool:
        # As after a mistaken rollback: the guard has all its tries again.
        guard.events = [Event(1, "rolled back", "loss", 9.0, 1.0, 0.5), Event(2, "accepted", "loss", 9, 1, 1)]
        return check(guard, loss)

    monkeypatch.setattr(Guard, "check", roll_back_once)
    assert run(spec(training=replace(FAST, guard_tries=1))).result.rollbacks == 1


def test_a_trial_scores_validation_and_never_sees_the_test_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(spec()).result.curves
    data = load_dataset(spec().data)
    unseen = LabelledTensors(torch.empty(0), torch.empty(0))
    monkeypatch.setattr("adaptive_act.study.run.load_dataset", lambda _: replace(data, test=unseen))
    trial = run_trial(spec())
    assert (trial.score, trial.loss) == (expected.validation_score[-1], expected.validation_loss[-1])
    assert (trial.variant, trial.lr, trial.diverged) == ("PReLU", 1e-2, None)


def test_data_that_have_changed_since_are_refused() -> None:
    with pytest.raises(DataError, match="has changed"):
        run(replace(spec(), data_digest="0" * 64))


def test_the_key_covers_what_decides_the_numbers() -> None:
    one = spec()
    others = [
        replace(one, seed=1),
        replace(one, variant="PELU"),
        replace(one, lr=1e-3),
        replace(one, data_digest="0"),
        replace(one, training=replace(FAST, batch=32)),
        replace(one, data=replace(one.data, label_noise=0.1)),
    ]
    assert len({each.key for each in [one, *others]}) == 7
    assert replace(one, data=replace(one.data, source="/elsewhere")).key == one.key


def test_the_start_is_untrained() -> None:
    data = load_dataset(spec().data)
    assert torch.equal(
        build_untrained(spec(), data).model(data.test.x),
        build_untrained(spec("ReLU"), data).model(data.test.x),
    )
