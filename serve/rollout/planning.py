"""Plans of experiments, from what this server has seen of the model, and of the experiment if it runs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from serve.engine.engine import Engine
from serve.engine.metrics import SECOND_BOUNDS
from serve.engine.statistics import VersionStatistics
from serve.experiments.definition import Experiment, Metric
from serve.experiments.errors import UnknownExperimentError
from serve.experiments.evidence import DAY, PAST, SECOND, make_query, read_evidence
from serve.experiments.findings import Behaviour, Memory, Observations, OutcomeSample
from serve.experiments.plan_results import write_plan
from serve.experiments.plans import Assumptions, GuardrailPlan, plan_guardrails, plan_metrics
from serve.experiments.statistics.samples import Counts, LogHistogram
from serve.experiments.store.database import now
from serve.experiments.store.outcome_queries import OutcomeQuery
from serve.experiments.store.registry import Registered, Registry
from serve.experiments.store.summaries import Summaries
from serve.experiments.verdicts import Evidence
from serve.rollout.options import KEPT_PER_SECOND

MOST_LATENCIES = 10_000
"""Values that the latencies of all requests are scaled to: their shape is what matters."""
KEEP_SECONDS = 60
"""How long what was stated of guardrails is kept."""
PARTS = 20
"""Of a bucket of run times, whose values are spread over it: the engine's buckets are wide."""

Source: TypeAlias = Literal["given", "experiment", "server"]
"""Where the units a day are from: the caller, the experiment's own units, all requests to the model."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the control before, or while, the experiment runs."""

    control: Observations
    units_per_day: float
    source: Source


class Planner:
    """Plans for the experiments of one server."""

    def __init__(
        self, engine: Engine, registry: Registry, summaries: Summaries, clock: Callable[[], int] = now
    ) -> None:
        """What the engine has counted counts from now on."""
        self._engine = engine
        self._registry = registry
        self._summaries = summaries
        self._clock = clock
        self._began = clock()
        # A plan of many metrics takes seconds of the processor; readers who ask together wait for each other.
        self._one_at_a_time = asyncio.Lock()

    async def plan(self, experiment: Experiment, assumptions: Assumptions) -> dict[str, Any]:
        """The plan as JSON; without `units_per_day` at the pace that the server has seen.

        Raises `StoreError`, and `UnknownModelError` or `ModelUnavailableError` for the control's model.
        """
        statistics = await self._engine.statistics(experiment.model)
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._plan, experiment, assumptions, statistics)

    def _plan(
        self, experiment: Experiment, assumptions: Assumptions, statistics: Sequence[VersionStatistics]
    ) -> dict[str, Any]:
        at = self._clock()
        seen = self._see(experiment, statistics, at)
        if assumptions.units_per_day > 0:
            seen = replace(seen, source="given")
        else:
            assumptions = replace(assumptions, units_per_day=seen.units_per_day)
        assumptions = replace(assumptions, kept_per_second=KEPT_PER_SECOND)
        metrics = plan_metrics(experiment, seen.control, assumptions)
        guardrails = plan_guardrails(experiment, seen.control, assumptions)
        return {**write_plan(experiment, metrics, guardrails, assumptions), "traffic": seen.source}

    def _see(self, experiment: Experiment, statistics: Sequence[VersionStatistics], at: int) -> Seen:
        """The experiment's own units where it has any, and for the rest what came before it."""
        evidence = self._read_evidence(experiment, at)
        control = evidence.observations.get(experiment.control.name, Observations())
        outcomes = {**self._read_past(experiment, at), **_with_units(control)}
        behaviour = control.behaviour
        if not float(behaviour.latency.units):
            behaviour = self._read_behaviour(experiment)
        known = replace(control, outcomes=outcomes, behaviour=behaviour)
        if evidence.units_per_day > 0:
            return Seen(known, evidence.units_per_day, "experiment")
        return Seen(known, _count_requests(statistics) * DAY / max(at - self._began, SECOND), "server")

    def _read_evidence(self, experiment: Experiment, at: int) -> Evidence:
        """What the experiment has shown; nothing where there is none, or one that compares something else."""
        try:
            known = self._registry.read(experiment.name)
        except UnknownExperimentError:
            return Evidence({})
        compared = ("model", "control", "metrics")
        if any(getattr(known.experiment, field) != getattr(experiment, field) for field in compared):
            return Evidence({})
        return read_evidence(self._summaries, known.experiment, known.phase, Memory(), at).evidence

    def _read_past(self, experiment: Experiment, at: int) -> dict[str, OutcomeSample]:
        """By metric the outcomes of all units; none where those without an outcome count, too."""
        return {
            metric.name: self._summaries.reported(_make_past_query(experiment, metric), at - PAST)
            for metric in experiment.metrics
            if not metric.is_absent_zero
        }

    def _read_behaviour(self, experiment: Experiment) -> Behaviour:
        """How the control's model has answered in this process since it was loaded."""
        control = experiment.control
        metrics = self._engine.model(experiment.model_of(control), control.version).metrics
        counted = metrics.statistics().inference_stats
        requests = counted.success.count + counted.fail.count
        latency = _make_histogram(metrics.compute.counts)
        return Behaviour(errors=Counts(float(requests), float(counted.fail.count)), latency=latency)


class GuardrailStatements:
    """Within how many units guardrails stop harm, by what an experiment itself has seen.

    To find out takes a tenth of a second of the processor, so each experiment's is kept for a minute.
    """

    def __init__(self, clock: Callable[[], int] = now) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[int, int, Sequence[GuardrailPlan]]] = {}

    def state(self, registered: Registered, evidence: Evidence) -> Sequence[GuardrailPlan]:
        """For harm as a plan assumes it by default."""
        experiment, at = registered.experiment, self._clock()
        revision, until, kept = self._kept.get(experiment.name, (0, 0, ()))
        if revision == registered.revision and at < until:
            return kept
        control = evidence.observations.get(experiment.control.name, Observations())
        assumed = Assumptions(evidence.units_per_day, kept_per_second=KEPT_PER_SECOND)
        plans = plan_guardrails(experiment, control, assumed)
        self._kept[experiment.name] = registered.revision, at + KEEP_SECONDS * SECOND, plans
        return plans


def _make_past_query(experiment: Experiment, metric: Metric) -> OutcomeQuery:
    """The covariate is left out: it is known once the experiment runs."""
    return replace(make_query(experiment, 0, metric), covariate=None)


def _with_units(control: Observations) -> dict[str, OutcomeSample]:
    return {name: sample for name, sample in control.outcomes.items() if float(np.max(sample.units)) > 0}


def _count_requests(statistics: Sequence[VersionStatistics]) -> int:
    counted = [version.inference_stats for version in statistics]
    return sum(stats.success.count + stats.fail.count for stats in counted)


def _make_histogram(counts: Sequence[int]) -> LogHistogram:
    """The run times in microseconds, spread evenly over each of their buckets on a logarithmic scale.

    All of them in one place would seem to be nearly equal, and slow answers to be found sooner than they are.
    """
    ends = np.log(1e6 * np.array([SECOND_BOUNDS[0] / 2, *SECOND_BOUNDS, 2 * SECOND_BOUNDS[-1]]))
    steps = (np.arange(PARTS) + 0.5) / PARTS
    values = np.exp(ends[:-1, None] + np.diff(ends)[:, None] * steps)
    shares = np.array(counts) / max(1, sum(counts)) / PARTS
    repeats = np.ceil(shares * min(sum(counts), MOST_LATENCIES)).astype(int)
    return LogHistogram.of(np.repeat(values, np.repeat(repeats, PARTS)))
