"""Shares of predicted classes."""

import numpy as np
import pytest

from serve.experiments.statistics.shifts import largest_shift, log_e_shift

LEVEL = np.log(20)


def test_the_largest_shift_is_that_of_one_class() -> None:
    assert largest_shift([50, 30, 20], [40, 30, 30]) == pytest.approx(0.1)
    assert largest_shift([0, 0], [0, 0]) == 0
    assert largest_shift([], []) == 0


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_shift_beyond_the_margin_is_found_in_either_direction(classes: int) -> None:
    even = np.full(classes, 5000 / classes)
    moved = even * 0.6
    moved[0] += 2000
    assert log_e_shift(even, moved, 0.1, 0.05) > LEVEL
    assert log_e_shift(moved, even, 0.1, 0.05) > LEVEL
    assert log_e_shift(even, moved, 0.5, 0.05) < 0


def test_a_shift_at_the_margin_is_no_evidence() -> None:
    rng = np.random.default_rng(1)
    control = rng.multinomial(3000, [0.5, 0.3, 0.2], size=200)
    candidate = rng.multinomial(3000, [0.4, 0.4, 0.2], size=200)
    assert np.mean(np.asarray(log_e_shift(control, candidate, 0.1, 0.05)) >= LEVEL) <= 0.05


def test_a_candidate_that_predicts_one_class_only_is_found() -> None:
    assert log_e_shift([100, 100, 100], [300, 0, 0], 0.1, 0.05) > LEVEL


@pytest.mark.parametrize(
    ("control", "candidate"), [([], []), ([0, 0], [0, 0]), ([500, 0], [0, 0]), ([50, 0], [0, 50])]
)
def test_nothing_is_said_of_few_predictions(control: list[int], candidate: list[int]) -> None:
    assert log_e_shift(control, candidate, 0.1, 0.05) == 0


def test_one_class_for_all_is_no_shift() -> None:
    assert log_e_shift([500, 0], [500, 0], 0.1, 0.05) <= 0
