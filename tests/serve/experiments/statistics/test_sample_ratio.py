"""The split of units: honest ones pass, broken ones raise the alarm."""

import numpy as np
import pytest

from serve.experiments.statistics.sample_ratio import (
    ALARM_LOG_E,
    CONCENTRATIONS,
    check_sample_ratio,
    log_e_sample_ratio,
)


def test_an_alarm_is_at_a_thousand_to_one() -> None:
    assert not check_sample_ratio((5000, 5100), (0.5, 0.5)).is_alarm
    broken = check_sample_ratio((10400, 9600), (0.5, 0.5))
    assert broken.is_alarm
    assert broken.log_e > ALARM_LOG_E == pytest.approx(np.log(1000))


def test_unequal_and_many_shares_are_tested() -> None:
    assert not check_sample_ratio((1003, 9010), (0.1, 0.9)).is_alarm
    assert check_sample_ratio((2000, 9000), (0.1, 0.9)).is_alarm
    many = [1000.0] * 100
    assert not check_sample_ratio(many, [0.01] * 100).is_alarm
    assert check_sample_ratio([*many[:-1], 3000.0], [0.01] * 100).is_alarm


@pytest.mark.parametrize("units", [(0, 0), (1, 0), (0, 1)])
def test_no_units_and_single_ones_are_no_alarm(units: tuple[int, int]) -> None:
    assert not check_sample_ratio(units, (0.5, 0.5)).is_alarm


def test_an_empty_variant_is_an_alarm_soon() -> None:
    assert check_sample_ratio((25, 0), (0.5, 0.5)).is_alarm


def test_a_trillion_units_are_tested_exactly() -> None:
    assert not check_sample_ratio((1e12, 1e12 + 2e6), (0.5, 0.5)).is_alarm
    assert check_sample_ratio((1e12, 1e12 + 2e7), (0.5, 0.5)).is_alarm


def test_the_evidence_is_the_product_of_predictive_probabilities() -> None:
    shares = np.array([0.5, 0.25, 0.25])
    arms = np.random.default_rng(4).integers(0, 3, 200)
    products = []
    for concentration in CONCENTRATIONS:
        seen, product = np.zeros(3), 1.0
        for arm in arms:
            predicted = (concentration * shares[arm] + seen[arm]) / (concentration + seen.sum())
            product *= predicted / shares[arm]
            seen[arm] += 1
        products.append(product)
    evidence = log_e_sample_ratio(np.bincount(arms, minlength=3).astype(float), shares)
    assert evidence == pytest.approx(np.log(np.mean(products)), abs=1e-9)
