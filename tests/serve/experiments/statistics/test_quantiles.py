"""Quantiles compared by counts in buckets."""

import numpy as np
import pytest

from serve.experiments.statistics.beta_mixture import log_e, log_e_above
from serve.experiments.statistics.quantiles import (
    HARM_CONCENTRATION,
    compare_quantiles,
    log_e_quantile_harm,
)
from serve.experiments.statistics.samples import BUCKET_RATIO, LogHistogram, bucket_edges

RNG = np.random.default_rng(8)
EMPTY = LogHistogram.of([])


def _draw(scale: float = 1.0, size: int = 3000) -> LogHistogram:
    return LogHistogram.of(scale * RNG.lognormal(0, 0.5, size))


def _least_evidence(histogram: LogHistogram, bucket: int, p: float, concentration: float) -> float:
    """The least evidence against the p-quantile in a bucket, over all counts that it may stand for."""
    n = float(histogram.units)
    before = float(histogram.counts[: max(bucket - histogram.first, 0)].sum())
    reached = float(histogram.counts[: max(bucket + 1 - histogram.first, 0)].sum())
    k = np.linspace(before, reached, 401)
    return float(np.min(log_e(k, n - k, p, concentration)))


@pytest.mark.parametrize("scale", [1.0, 1.15, 0.5])
def test_the_interval_holds_every_pair_that_the_evidence_leaves(scale: float) -> None:
    p, alpha, concentration = 0.8, 0.05, 20.0
    control, candidate = _draw(size=200), _draw(scale, size=200)
    buckets = range(min(control.first, candidate.first) - 1, max(control.end, candidate.end) + 1)
    first = [_least_evidence(control, bucket, p, concentration) for bucket in buckets]
    second = [_least_evidence(candidate, bucket, p, concentration) for bucket in buckets]
    gaps = [
        (bucket_edges(j) - bucket_edges(i + 1), bucket_edges(j + 1) - bucket_edges(i))
        for i, a in zip(buckets, first, strict=True)
        for j, b in zip(buckets, second, strict=True)
        if a + b < np.log(1 / alpha) - 1e-9
    ]
    look = compare_quantiles(control, candidate, p, alpha, concentration)
    assert look.low == pytest.approx(min(low for low, _ in gaps))
    assert look.high == pytest.approx(max(high for _, high in gaps))
    least = min(a + b for a, b in zip(first, second, strict=True))
    assert look.log_e == pytest.approx(least, abs=1e-3)


def test_a_slower_candidate_is_found_and_an_equal_one_is_not() -> None:
    slower = compare_quantiles(_draw(), _draw(1.3), 0.9, 0.05, 300.0)
    assert slower.low > 0
    assert slower.low < 0.3 * np.exp(0.5 * 1.2816) < slower.high
    equal = compare_quantiles(_draw(), _draw(), 0.9, 0.05, 300.0)
    assert equal.low < 0 < equal.high


def test_ties_are_no_evidence() -> None:
    ties = LogHistogram.of(np.full(10**5, 3.0))
    look = compare_quantiles(ties, ties, 0.9, 0.05, 300.0)
    assert look.log_e < 0
    assert look.low < 0 < look.high
    assert (look.high - look.low) < 3 * 3 * (BUCKET_RATIO - 1)


def test_atoms_at_the_quantile_keep_the_level() -> None:
    # 30 % of all values are equal and lie around the quantile, so P(value <= quantile) is far from p.
    rng = np.random.default_rng(9)
    for _ in range(40):
        values = np.where(rng.random((2, 4000)) < 0.3, 2.0, rng.lognormal(0, 0.5, (2, 4000)))
        control, candidate = (LogHistogram.of(row) for row in values)
        assert compare_quantiles(control, candidate, 0.9, 0.05, 250.0).log_e < np.log(20)


@pytest.mark.parametrize(("control", "candidate"), [(EMPTY, EMPTY), (_draw(), EMPTY), (EMPTY, _draw())])
def test_nothing_is_said_while_an_arm_is_empty(control: LogHistogram, candidate: LogHistogram) -> None:
    look = compare_quantiles(control, candidate, 0.9, 0.05, 300.0)
    assert (look.low, look.high) == (-np.inf, np.inf)
    assert look.log_e <= 0
    assert log_e_quantile_harm(control, candidate, 0.95, 0.25) <= 0


def test_few_values_leave_the_ends_open() -> None:
    look = compare_quantiles(_draw(size=5), _draw(size=5), 0.9, 0.05, 300.0)
    assert (look.low, look.high) == (-np.inf, np.inf)


def test_many_experiments_at_once_are_as_each_alone() -> None:
    pairs = [(_draw(size=300), _draw(size=300)) for _ in range(3)]
    first = min(arm.first for pair in pairs for arm in pair)
    end = max(arm.end for pair in pairs for arm in pair)
    stacked = [
        LogHistogram(np.stack([pair[arm].widen(first, end) for pair in pairs]), first) for arm in (0, 1)
    ]
    together = compare_quantiles(stacked[0], stacked[1], 0.9, 0.05, 30.0)
    for row, pair in enumerate(pairs):
        alone = compare_quantiles(*pair, 0.9, 0.05, 30.0)
        for name in ("low", "high", "log_e", "effect"):
            assert np.asarray(getattr(together, name))[row] == pytest.approx(float(getattr(alone, name)))


def test_the_evidence_of_harm_is_the_least_over_all_values() -> None:
    control, candidate, p, steps = _draw(size=400), _draw(1.4, size=400), 0.9, 5
    edges = range(control.first - 3, candidate.end + 3)

    def evidence(bucket: int) -> float:
        before = float(control.counts[: max(bucket - control.first, 0)].sum())
        slower = 400 - float(candidate.counts[: max(bucket + steps + 1 - candidate.first, 0)].sum())
        below = log_e_above(before, 400 - before, p, HARM_CONCENTRATION)
        return float(below + log_e_above(slower, 400 - slower, 1 - p, HARM_CONCENTRATION))

    least = min(evidence(bucket) for bucket in edges)
    assert log_e_quantile_harm(control, candidate, p, BUCKET_RATIO**steps - 1) == pytest.approx(least)


@pytest.mark.parametrize("margin", [0.0, 0.25, 1.0])
def test_harm_is_found_beyond_the_margin_only(margin: float) -> None:
    within = log_e_quantile_harm(_draw(), _draw(1 + margin), 0.95, margin)
    beyond = log_e_quantile_harm(_draw(), _draw((1 + margin) * 1.5), 0.95, margin)
    assert within < np.log(20) < beyond


def test_values_of_any_sign_are_compared() -> None:
    control, candidate = LogHistogram.of(RNG.normal(0, 1, 4000)), LogHistogram.of(RNG.normal(-1, 1, 4000))
    look = compare_quantiles(control, candidate, 0.5, 0.05, 300.0)
    assert look.low < -1 < look.high < 0
