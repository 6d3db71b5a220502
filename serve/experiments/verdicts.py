"""The verdict on an experiment: `judge` weighs all that is known, and says it in a sentence.

invalid before harmful before better, worse and equivalent before undecided: nothing may be concluded from a
broken split, and no gain outweighs a harm beyond its margin.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from serve.experiments.base_rates import choose_base_rates
from serve.experiments.comparisons import Design, compare_metric, design_of
from serve.experiments.definition import Experiment
from serve.experiments.findings import (
    CandidateFindings,
    Comparison,
    Harm,
    Memory,
    Observations,
    OutcomeSample,
    Progress,
    ShadowFindings,
    ShadowPairs,
    Verdict,
    VerdictKind,
)
from serve.experiments.guardrails import watch_candidate
from serve.experiments.sentences import write_sentences
from serve.experiments.statistics.pairs import compare_pairs, measure_agreement
from serve.experiments.statistics.sample_ratio import SampleRatio, check_sample_ratio
from serve.experiments.statistics.samples import LogHistogram

MOST_CROSSED = 0.01
"""The share of units that may meet several variants, such as after a change of their identity."""

_WINS_CONCENTRATION = 12.0
"""Sharpest after some 100 requests that only one of the two gets right."""

_PRECEDENCE: tuple[VerdictKind, ...] = ("harmful", "better", "undecided", "equivalent", "worse")
"""Of several candidates the verdict is that of the first in this order."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict rests on, of one comparison."""

    observations: Mapping[str, Observations]
    """By variant, the control among them."""
    open_units: int = 0
    """Units whose window has not closed."""
    crossed_units: int = 0
    """Units that met more than one variant."""
    units_per_day: float = 0.0
    """New units at today's traffic."""
    base_rates: Mapping[str, float] = field(default_factory=dict)
    """By binary metric, the rate as it was known before the start, where it was."""
    is_shadow: bool = False
    """Whether all units meet the control, so that there is no split to check."""
    pairs: Mapping[str, ShadowPairs] = field(default_factory=dict)
    """By candidate, what was mirrored to it."""
    memory: Memory = field(default_factory=Memory)
    """That of the verdict before."""


def judge(experiment: Experiment, evidence: Evidence) -> Verdict:
    """The verdict, which may be asked for after every unit: it is wrong with probability alpha at most.

    `memory` of the verdict belongs into the evidence of the next one.
    """
    sample_ratio = _check_units(experiment, evidence)
    rates = _freeze_base_rates(experiment, evidence)
    design = design_of(experiment, rates)
    findings = tuple(
        _judge_candidate(experiment, evidence, design, variant.name) for variant in experiment.candidates
    )
    leading = min(findings, key=lambda found: _PRECEDENCE.index(found.kind))
    crossed = evidence.crossed_units > MOST_CROSSED * max(sum(sample_ratio.units), 100)
    verdict = Verdict(
        kind="invalid" if sample_ratio.is_alarm or crossed else leading.kind,
        leading=leading,
        candidates=findings,
        sample_ratio=sample_ratio,
        crossed_units=evidence.crossed_units if crossed else 0,
        incomplete=_find_incomplete(experiment, evidence),
        progress=_measure_progress(experiment, evidence),
        memory=_remember(replace(evidence.memory, base_rates=rates), findings, sample_ratio),
        early=_count_early(evidence),
    )
    return replace(verdict, sentences=write_sentences(experiment, evidence.observations, verdict))


def _freeze_base_rates(experiment: Experiment, evidence: Evidence) -> Mapping[str, float]:
    """Those of the looks before, and what they lack; in shadow nothing is compared yet."""
    if evidence.is_shadow:
        return evidence.memory.base_rates
    known = {**evidence.base_rates, **evidence.memory.base_rates}
    return choose_base_rates(experiment, evidence.observations, known)


def _judge_candidate(
    experiment: Experiment, evidence: Evidence, design: Design, name: str
) -> CandidateFindings:
    """All metrics and guardrails of one candidate."""
    control, candidate = (_observed(evidence, variant) for variant in (experiment.control.name, name))
    memory = evidence.memory
    # In shadow no unit meets the candidate, so there is nothing to compare with.
    samples = (Observations(), Observations()) if evidence.is_shadow else (control, candidate)
    comparisons = tuple(
        compare_metric(metric, name, samples, design, memory) for metric in experiment.metrics
    )
    harms = watch_candidate(experiment, name, (control.behaviour, candidate.behaviour), memory)
    shadow = _compare_shadow(evidence.pairs[name], experiment.alpha) if name in evidence.pairs else None
    return CandidateFindings(name, _conclude(comparisons, harms), comparisons, harms, shadow)


def _conclude(comparisons: Sequence[Comparison], harms: Sequence[Harm]) -> VerdictKind:
    """The verdict on one candidate: harm first; a loss in one primary metric outweighs gains in others."""
    if any(harm.is_shown and harm.guardrail.action == "stop" for harm in harms):
        return "harmful"
    findings = [comparison.finding for comparison in comparisons if comparison.metric.is_primary]
    if "worse" in findings:
        return "worse"
    if "better" in findings:
        return "better"
    return "equivalent" if findings and set(findings) == {"equivalent"} else "undecided"


def _compare_shadow(pairs: ShadowPairs, alpha: float) -> ShadowFindings:
    """What the pairs of shadow show; each at alpha, since nothing is decided by them."""
    agreement = measure_agreement(pairs.agreements, alpha)
    wins = compare_pairs(float(pairs.only_control), float(pairs.only_candidate), alpha, _WINS_CONCENTRATION)
    return ShadowFindings(agreement, wins, pairs)


def _check_units(experiment: Experiment, evidence: Evidence) -> SampleRatio:
    """The split of units; a broken one stays broken."""
    names = [variant.name for variant in experiment.variants]
    units = [0 if evidence.is_shadow else _observed(evidence, name).units for name in names]
    now = check_sample_ratio(units, [1 / len(names)] * len(names))
    return replace(now, log_e=max(now.log_e, evidence.memory.sample_ratio))


def _find_incomplete(experiment: Experiment, evidence: Evidence) -> tuple[str, ...]:
    """Metrics whose outcomes arrive for unlike shares of the variants' units."""
    found = []
    for metric in experiment.metrics:
        samples = [
            _observed(evidence, variant.name).outcomes.get(metric.name) for variant in experiment.variants
        ]
        units = [_count(sample) for sample in samples]
        if check_sample_ratio(units, [1 / len(units)] * len(units)).is_alarm:
            found.append(metric.name)
    return tuple(found)


def _count_early(evidence: Evidence) -> Mapping[str, int]:
    """The outcomes of each metric that came too early to count, in all variants."""
    counts: Counter[str] = Counter()
    for observed in evidence.observations.values():
        counts.update(observed.early_outcomes)
    return dict(+counts)


def _measure_progress(experiment: Experiment, evidence: Evidence) -> Progress:
    """How many of the planned units have an outcome, and how long the others take."""
    variants = [_observed(evidence, variant.name) for variant in experiment.variants]
    counts = [
        sum(_count(variant.outcomes.get(metric.name)) for variant in variants)
        for metric in experiment.metrics
        if metric.is_primary
    ]
    units = int(min(counts) if counts else sum(variant.units for variant in variants))
    missing = max(experiment.planned_units - units, 0)
    pace = evidence.units_per_day * _answering(evidence, units)
    days = missing / pace if pace > 0 else (0.0 if missing == 0 else None)
    return Progress(units, experiment.planned_units, evidence.open_units, days)


def _answering(evidence: Evidence, units: int) -> float:
    """The share of units that get an outcome; all of them before the first one has."""
    closed = sum(observed.units for observed in evidence.observations.values()) - evidence.open_units
    return min(units / closed, 1.0) if units and closed > 0 else 1.0


def _remember(memory: Memory, findings: Sequence[CandidateFindings], sample_ratio: SampleRatio) -> Memory:
    """The memory with this look added."""
    histories = {
        (comparison.metric.name, found.name): comparison.history
        for found in findings
        for comparison in found.comparisons
        if not _is_unsaid(comparison)
    }
    harms = {harm.key: harm.log_e for found in findings for harm in found.harms}
    return Memory(
        {**memory.histories, **histories},
        {**memory.harms, **harms},
        max(memory.sample_ratio, sample_ratio.log_e),
        memory.base_rates,
    )


def _is_unsaid(comparison: Comparison) -> bool:
    """Whether the look said nothing, as before the one look of a fixed horizon."""
    return bool(np.isinf(comparison.history.low) and np.isinf(comparison.history.high))


def _observed(evidence: Evidence, name: str) -> Observations:
    return evidence.observations.get(name, Observations())


def _count(sample: OutcomeSample | None) -> float:
    """The units of a sample."""
    if sample is None:
        return 0.0
    return float(sample.units.sum()) if isinstance(sample, LogHistogram) else float(sample.units)
