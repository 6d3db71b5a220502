"""Metrics of each kind, compared by the sequence of the kind or once."""

import numpy as np
import pytest

from serve.experiments.comparisons import Design, compare_metric
from serve.experiments.definition import Metric
from serve.experiments.findings import Memory, Observations, OutcomeSample
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments

RNG = np.random.default_rng(3)
SEQUENTIAL = Design(alpha=0.05, planned_units=5000, is_fixed=False, base_rates={})
FIXED = Design(alpha=0.05, planned_units=4000, is_fixed=True, base_rates={})
METRICS = {
    "binary": Metric(name="y", kind="binary"),
    "mean": Metric(name="y", kind="mean"),
    "adjusted": Metric(name="y", kind="mean", covariate="shadow_score"),
    "ratio": Metric(name="y", kind="ratio", denominator="x"),
    "quantile": Metric(name="y", kind="quantile", quantile=0.9),
}


def _draw(kind: str, effect: float, units: int = 3000) -> OutcomeSample:
    x = RNG.exponential(1, units) + 0.5
    match kind:
        case "binary":
            return Counts(units, RNG.binomial(units, 0.2 + 0.1 * effect))
        case "mean":
            return Moments.of(x + effect)
        case "adjusted":
            return PairMoments.of(x + effect + 0.1 * RNG.normal(size=units), x)
        case "ratio":
            return PairMoments.of(x * (1 + effect) + RNG.normal(size=units), x)
        case _:
            return LogHistogram.of(x + effect)


@pytest.mark.parametrize("design", [SEQUENTIAL, FIXED])
@pytest.mark.parametrize("kind", METRICS)
def test_each_kind_finds_a_large_effect_and_its_direction(kind: str, design: Design) -> None:
    for effects, finding in (((0, 1), "better"), ((1, 0), "worse")):
        samples = tuple(Observations(3000, {"y": _draw(kind, effect)}) for effect in effects)
        comparison = compare_metric(METRICS[kind], "v2", (samples[0], samples[1]), design, Memory())
        assert comparison.finding == finding


@pytest.mark.parametrize("design", [SEQUENTIAL, FIXED])
@pytest.mark.parametrize("kind", METRICS)
def test_each_kind_says_nothing_of_nothing(kind: str, design: Design) -> None:
    comparison = compare_metric(METRICS[kind], "v2", (Observations(), Observations()), design, Memory())
    assert comparison.finding == "undecided"
    assert comparison.history.low in (0, -np.inf)
    assert comparison.history.high == np.inf


def test_a_covariate_narrows_the_interval() -> None:
    pairs = [_draw("adjusted", 0), _draw("adjusted", 0)]
    samples = [Observations(3000, {"y": pair}) for pair in pairs]
    adjusted = compare_metric(METRICS["adjusted"], "v2", (samples[0], samples[1]), SEQUENTIAL, Memory())
    plain = [Observations(3000, {"y": pair.y}) for pair in pairs if isinstance(pair, PairMoments)]
    alone = compare_metric(METRICS["mean"], "v2", (plain[0], plain[1]), SEQUENTIAL, Memory())
    width = float(adjusted.look.high) - float(adjusted.look.low)
    assert width < 0.2 * (float(alone.look.high) - float(alone.look.low))


@pytest.mark.parametrize("design", [SEQUENTIAL, FIXED])
def test_rates_of_none_and_all_are_told_apart(design: Design) -> None:
    units = design.planned_units / 2
    none, every = (Observations(0, {"y": Counts(units, events)}) for events in (0.0, units))
    assert compare_metric(METRICS["binary"], "v2", (none, every), design, Memory()).finding == "better"
    assert compare_metric(METRICS["binary"], "v2", (every, none), design, Memory()).finding == "worse"
    assert compare_metric(METRICS["binary"], "v2", (none, none), design, Memory()).finding == "undecided"


@pytest.mark.parametrize("kind", METRICS)
def test_a_variant_without_outcomes_has_no_value_and_no_effect(kind: str) -> None:
    known, nothing = Observations(0, {"y": _draw(kind, 0)}), Observations(3000)
    for samples in ((known, nothing), (nothing, known)):
        look = compare_metric(METRICS[kind], "v2", samples, SEQUENTIAL, Memory()).look
        assert [np.isnan(look.control), np.isnan(look.candidate)] == [sample is nothing for sample in samples]
        assert np.isnan(look.effect)
