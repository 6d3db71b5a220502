"""What the store knows of an experiment, as a verdict rests on it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from serve.experiments.base_rates import rate_of
from serve.experiments.definition import Experiment, Metric
from serve.experiments.findings import Behaviour, Expense, Harm, Memory, Observations, ShadowPairs
from serve.experiments.guardrails import watch_candidate
from serve.experiments.stages import Phase
from serve.experiments.statistics.samples import Counts
from serve.experiments.store.aggregates import Answers, Outcomes, Pairs, Requests
from serve.experiments.store.outcome_queries import OutcomeQuery
from serve.experiments.store.request_queries import Pairing
from serve.experiments.store.summaries import Summaries
from serve.experiments.verdicts import Evidence

LABEL = "label"
"""The metric whose value is the true class of a request."""
SECOND = 1_000_000  # microseconds
DAY = 86_400 * SECOND
PAST = 28 * DAY
"""How far back outcomes count that were reported before the experiment."""
MOST_PAST = 5000
"""Of them, for a rate that only chooses a comparison."""
NO_EXPENSES: Mapping[str, Expense] = {}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one comparison at a time."""

    evidence: Evidence
    met: Mapping[str, int]
    """How many units each candidate has met; in shadow, how many requests it has answered."""


def read_evidence(  # all that a verdict rests on
    summaries: Summaries,
    experiment: Experiment,
    phase: Phase,
    memory: Memory,
    now: int,
    expenses: Mapping[str, Expense] = NO_EXPENSES,
) -> Known:
    """What is known at a time in microseconds since 1970; raises `StoreError`.

    `expenses` are by variant; the store does not know them.
    """
    key = experiment.name, phase.comparison
    is_shadow = phase.stage == "shadow"
    exposed, pairs = summaries.exposed(*key, now), _read_pairs(summaries, experiment, phase, now)
    behaviours = _read_behaviours(summaries, experiment, phase, pairs, now)
    queries = {metric.name: make_query(experiment, phase.comparison, metric) for metric in experiment.metrics}
    outcomes = {name: summaries.outcomes(query, now) for name, query in queries.items()}
    observations = {}
    for variant in experiment.variants:
        name = variant.name
        observations[name] = Observations(
            units=exposed.get(name, 0),
            outcomes={metric: known[name].sample for metric, known in outcomes.items() if name in known},
            early_outcomes={metric: known[name].early for metric, known in outcomes.items() if name in known},
            behaviour=behaviours[name],
            expense=expenses.get(name, Expense()),
        )
    evidence = Evidence(
        observations,
        open_units=max((_count_open(known) for known in outcomes.values()), default=0),
        crossed_units=summaries.switched(*key),
        units_per_day=summaries.units_per_day(*key, now),
        is_shadow=is_shadow,
        base_rates={} if is_shadow else _read_base_rates(summaries, experiment, phase, memory, now),
        pairs={name: _pair(known) for name, known in pairs.items()},
        memory=memory,
    )
    candidates = [candidate.name for candidate in experiment.candidates]
    return Known(evidence, {name: _count_met(name, exposed, pairs, is_shadow) for name in candidates})


def find_harms(summaries: Summaries, experiment: Experiment, phase: Phase, now: int) -> tuple[Harm, ...]:
    """The harms that are shown at a time, by the answers alone: much cheaper than a verdict.

    Raises `StoreError`.
    """
    needs_pairs = any(guardrail.kind == "disagreement" for guardrail in experiment.guardrails)
    pairs = _read_pairs(summaries, experiment, phase, now) if needs_pairs else {}
    behaviours = _read_behaviours(summaries, experiment, phase, pairs, now)
    control = behaviours[experiment.control.name]
    names = [candidate.name for candidate in experiment.candidates]
    harms = (watch_candidate(experiment, name, (control, behaviours[name]), Memory()) for name in names)
    return tuple(harm for found in harms for harm in found if harm.is_shown)


def make_query(experiment: Experiment, comparison: int, metric: Metric) -> OutcomeQuery:
    """How the outcomes of the metric are summed up."""
    return OutcomeQuery(
        experiment.name,
        comparison,
        metric.name,
        metric.kind,
        window=None if metric.window_seconds is None else metric.window_seconds * SECOND,
        denominator=metric.denominator,
        covariate=experiment.control.name if metric.covariate == "shadow_score" else None,
        is_absent_zero=metric.is_absent_zero,
        per_unit=metric.per_unit,
    )


def _read_base_rates(
    summaries: Summaries, experiment: Experiment, phase: Phase, memory: Memory, now: int
) -> dict[str, float]:
    """The rates of binary metrics before any unit met a variant, unless looks before have chosen them.

    Not of metrics for which units without an outcome count, since nobody knows how many there were.
    """
    missing = [
        metric
        for metric in experiment.metrics
        if metric.kind == "binary" and not metric.is_absent_zero and metric.name not in memory.base_rates
    ]
    began = summaries.first_exposure(experiment.name, phase.comparison) if missing else None
    rates: dict[str, float] = {}
    for metric in missing:
        query = replace(make_query(experiment, phase.comparison, metric), covariate=None)
        sample = summaries.reported(query, now - PAST, before=began or now, most=MOST_PAST)
        rate = rate_of(sample) if isinstance(sample, Counts) else None
        rates |= {} if rate is None else {metric.name: rate}
    return rates


def _read_pairs(summaries: Summaries, experiment: Experiment, phase: Phase, now: int) -> dict[str, Pairs]:
    pairing = Pairing(experiment.name, phase.comparison, experiment.control.name, LABEL)
    return summaries.pairs(pairing, now)


def _read_behaviours(
    summaries: Summaries, experiment: Experiment, phase: Phase, pairs: Mapping[str, Pairs], now: int
) -> dict[str, Behaviour]:
    """How each variant answers: on the ramp, or in shadow, there a candidate by what was mirrored to it.

    What does not run any more is described as it ran last.
    """
    requests = summaries.requests(experiment.name, phase.comparison, now)
    never_ramped = all(answers.in_shadow_stage for answers in requests)
    in_shadow = phase.stage == "shadow" or (phase.stage != "ramp" and never_ramped)
    described = {}
    for variant in experiment.variants:
        answers = Answers(variant.name, in_shadow and variant != experiment.control, in_shadow)
        described[variant.name] = _describe(requests.get(answers), pairs.get(variant.name))
    return described


def _describe(requests: Requests | None, pairs: Pairs | None) -> Behaviour:
    """How a variant answered; nothing where it did not."""
    disagreements = Counts() if pairs is None else pairs.agreements.failures
    if requests is None:
        return Behaviour(disagreements=disagreements)
    errors, nans = requests.errors.counts, requests.nans.counts
    return Behaviour(errors, nans, requests.latency, requests.top1, disagreements)


def _pair(pairs: Pairs) -> ShadowPairs:
    return ShadowPairs(pairs.agreements, pairs.only_control, pairs.only_candidate)


def _count_open(known: Mapping[str, Outcomes]) -> int:
    return sum(outcomes.open_units for outcomes in known.values())


def _count_met(name: str, exposed: Mapping[str, int], pairs: Mapping[str, Pairs], is_shadow: bool) -> int:
    if not is_shadow:
        return exposed.get(name, 0)
    return pairs[name].answered if name in pairs else 0
