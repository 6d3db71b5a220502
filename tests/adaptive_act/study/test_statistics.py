import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from adaptive_act.study import statistics
from adaptive_act.study.statistics import calibration_error

RNG = np.random.default_rng(0)


def enumerated(differences: list[float]) -> float:
    """The share of sign patterns with a mean at least as far from 0, counted one by one."""
    observed = abs(sum(differences))
    patterns = itertools.product((1, -1), repeat=len(differences))
    sums = [
        abs(sum(sign * value for sign, value in zip(signs, differences, strict=True))) for signs in patterns
    ]
    return sum(value >= observed - 1e-12 for value in sums) / len(sums)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_p_is_the_share_of_sign_patterns(n: int) -> None:
    values, baseline = RNG.normal(0.1, 0.2, n).tolist(), [0.0] * n
    found = statistics.paired(values, baseline)
    assert found.exact
    assert found.p == pytest.approx(enumerated(values), abs=1e-12)


def test_p_is_at_its_smallest_when_every_seed_agrees() -> None:
    found = statistics.paired([0.9, 0.8, 0.95, 0.99, 0.85], [0.8, 0.7, 0.9, 0.9, 0.8])
    assert found.p == found.smallest_p == 2 / 2**5


@pytest.mark.slow
def test_sampled_patterns_agree_with_an_exact_test() -> None:
    values = RNG.normal(0.3, 1, 40).tolist()
    found = statistics.paired(values, [0.0] * 40)
    assert not found.exact
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.02)


def test_no_difference_is_p_1_and_an_empty_interval() -> None:
    found = statistics.paired([0.5] * 6, [0.5] * 6)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_that_is_no_number_shows_nothing() -> None:
    found = statistics.paired([0.9] * 9 + [math.nan], [0.5] * 10)
    assert found.p == 1
    assert statistics.judge_difference(found, found.p, 1) == "no difference shown"


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    values, baseline = RNG.normal(0, 1, 8), RNG.normal(0, 1, 8)
    found = statistics.paired(values.tolist(), baseline.tolist())
    expected = stats.ttest_rel(values, baseline).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_a_mean_worked_by_hand() -> None:
    found = statistics.mean([1.0, 2.0, 3.0])
    reach = 4.302652729911275 * 1 / math.sqrt(3)  # t of 2 degrees of freedom, from the tables
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - reach, 2 + reach), rel=1e-9)


def test_the_interval_of_a_share_stays_among_shares() -> None:
    found = statistics.share([0.99, 1.0, 0.9])
    assert found.high == 1.0
    assert found.low == statistics.mean([0.99, 1.0, 0.9]).low


def test_one_seed_has_no_interval() -> None:
    found = statistics.paired([0.5], [0.4])
    assert math.isnan(found.low)
    assert found.p == 1


def test_holm_as_in_a_worked_example() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    assert statistics.holm([]) == []


def test_the_medians_interval_is_between_order_statistics() -> None:
    found = statistics.median_interval([float(n) for n in range(1, 22)])
    # P(6 <= successes <= 15 of 21 at 1/2) = 0.973: the 6th and the 16th of 21
    assert (found.mean, found.low, found.high) == (11, 6, 16)


@pytest.mark.parametrize(
    ("differences", "p", "words"),
    [
        ([0.1] * 10, 0.01, "better"),
        ([-0.1] * 10, 0.01, "worse"),
        ([0.1, -0.1] * 5, 1.0, "no difference shown"),
        ([0.1] * 5, 0.0625, "too few seeds to show one"),
    ],
)
def test_words_claim_no_more_than_is_shown(differences: list[float], p: float, words: str) -> None:
    found = statistics.paired(differences, [0.0] * len(differences))
    assert statistics.judge_difference(found, p, comparisons=2) == words


def by_definition(logits: torch.Tensor, labels: torch.Tensor, bins: int) -> float:
    """Bin by bin, as the paper writes it: sum over B of |B|/n · |acc(B) − conf(B)|."""
    probabilities = torch.softmax(logits.double(), 1)
    total = 0.0
    for place in range(bins):
        inside = [
            (max(row).item(), int(row.argmax() == label))
            for row, label in zip(probabilities, labels, strict=True)
            if place / bins < max(row).item() <= (place + 1) / bins
        ]
        if inside:
            confidence = sum(entry[0] for entry in inside) / len(inside)
            accuracy = sum(entry[1] for entry in inside) / len(inside)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("bins", [1, 15])
def test_it_is_what_the_definition_says(bins: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(400, 5, generator=generator)
    labels = torch.randint(0, 5, (400,), generator=generator)
    assert calibration_error(logits, labels, bins) == pytest.approx(
        by_definition(logits, labels, bins), rel=1e-9
    )


def test_calibration_error_of_confident_answers() -> None:
    logits = 100 * torch.eye(4)
    assert calibration_error(logits, torch.arange(4)) == 0
    assert calibration_error(logits, torch.arange(4).roll(1)) == pytest.approx(1)


def test_answers_that_are_no_numbers_have_no_calibration() -> None:
    assert math.isnan(calibration_error(torch.full((3, 2), math.nan), torch.zeros(3, dtype=torch.long)))
