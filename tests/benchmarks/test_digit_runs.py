"""Small runs follow from their description, and the guard's are those of clipping until it rolls back."""

from dataclasses import replace

import pytest

from benchmarks.digit_runs import Run, train

pytestmark = pytest.mark.slow  # scikit-learn alone takes a second to import

RUN = Run("SGD", 0.1, "PELU", seed=0, epochs=1, clip_norm=1.0)


def test_a_run_learns_and_can_be_repeated() -> None:
    result = train(RUN)
    assert result.accuracy > 0.3
    assert train(RUN) == result


def test_a_guard_that_does_not_roll_back_changes_nothing() -> None:
    assert train(replace(RUN, is_guarded=True)) == train(RUN)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_run_whose_loss_is_not_finite_is_lost(optimizer: str) -> None:
    run = Run(optimizer, 1e6, "NEAAF, both sides, γ = 1", seed=0, epochs=1)
    assert train(run).is_lost
