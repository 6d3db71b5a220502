"""Whether verdicts on experiments hold: thousands of simulated experiments, looked at every 100 units.

By the very functions that judge real experiments: false positives where there is no difference, also while
the base rate drifts and at unequal shares; coverage at all looks at once; power beside one look at the end;
the alarm for a broken split; guardrails at and beyond their margin; pairs in shadow. Prints the tables and
writes docs/results/experiment_statistics.{md,json}: a few minutes on one core.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.experiment_harm import (
    HARMS,
    MOST_LATENCY_RUNS,
    HarmRow,
    SplitRow,
    simulate_harm,
    simulate_splits,
)
from benchmarks.experiment_shadow import ShadowRow, simulate_shadow
from benchmarks.experiment_streams import ALPHA, METRICS, PLANNED, Batch, Metric, Sample, merge
from benchmarks.results import describe_machine, publish, show
from serve.experiments.statistics.fixed_horizon import compare_once
from serve.experiments.statistics.looks import Look

Page = tuple[Table, list[dict[str, Any]]]
"""A table, and its rows as they are kept."""

PARTS = ("metrics", "splits", "guardrails", "shadow")
TITLE = "Verdicts of experiments"
NOTES = f"""\
{{runs:,}} simulated experiments of {{units:,}} units each, looked at every {{look}} units by the
functions that judge real experiments, at alpha = {ALPHA:g} and for a plan of {PLANNED:,} units. *False
positives*: experiments without a difference that any look decides. *drift*: the base rate rises and falls
by 80 % (quantile: 15 %) while the experiment runs. *10/90*: shares of the candidate and the control.
*watched*: the usual test at 5 %, stopped at its first significant look. *coverage*: experiments with the
effect whose interval holds it at every look; without a difference it is what false positives leave.
*power*: experiments with the effect that are decided by the end, beside *one look* at the end with as
many units; *median*: the units at which half of them are. A binary metric is compared by its events alone
where they are rare, else as a mean.

Splits: the alarm is at e >= 1000. Guardrails: alpha = {ALPHA:g} for each; latency with {{few:,}} runs;
*stated* is the number of units within which, as the plan states, 95 % are stopped, where a look comes every
{{look}} units; of latency for a control that was seen before. Shadow: two models of these accuracies that
err together on 7 % of the requests; *groups* is the same comparison on two groups of units."""


@dataclass(frozen=True, slots=True)
class Course:
    """What became of the runs of one condition."""

    decided: float
    covered: float
    median: float | None
    """Units at which half of the runs are decided."""
    once: float
    """The share that one look at the end decides."""
    watched: float
    """The share that the one-look test decides at any look."""


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric under all conditions."""

    name: str
    equal: Course
    drift: Course
    unequal: Course
    unequal_drift: Course
    effect: Course
    effect_unequal: Course
    factor: float


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated."""

    runs: int
    units: int
    look: int = 100


def main(
    runs: Annotated[int, typer.Option(help="Experiments of each condition.")] = 2000,
    units: Annotated[int, typer.Option(help="Units of each experiment.")] = 20_000,
    parts: Annotated[str, typer.Option(help="Parts, separated by commas.")] = ",".join(PARTS),
    metric: Annotated[str, typer.Option(help="Only metrics whose names begin so.")] = "",
) -> None:
    """Simulate all parts and publish them; show them only, where some are left out."""
    chosen, size = parts.split(","), Size(runs, units)
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"not a part: {', '.join(sorted(unknown))}")
    metrics = [known for known in METRICS if known.name.startswith(metric)]
    pages = {
        "metrics": lambda: _tabulate_metrics(list(_simulate_metrics(metrics, size))),
        "splits": lambda: _tabulate_splits(simulate_splits(runs, units, size.look)),
        "guardrails": lambda: _tabulate_harms([simulate_harm(harm, runs) for harm in track(HARMS)]),
        "shadow": lambda: _tabulate_shadow(simulate_shadow(runs, units, size.look)),
    }
    results = {part: pages[part]() for part in PARTS if part in chosen}
    tables = [table for table, _ in results.values()]
    numbers = {part: rows for part, (_, rows) in results.items()}
    notes = NOTES.format(runs=runs, units=units, look=size.look, few=min(runs, MOST_LATENCY_RUNS))
    if set(chosen) == set(PARTS) and not metric:
        sizes = {"runs": runs, "units": units, "look": size.look}
        machine = describe_machine(("numpy", "scipy"))
        publish("experiment_statistics", TITLE, tables, {**sizes, **numbers}, notes, machine)
    else:
        show(TITLE, tables)


def _simulate_metrics(metrics: list[Metric], size: Size) -> Iterator[MetricRow]:
    for number, metric in enumerate(track(metrics, description="metrics")):
        rng = np.random.default_rng([7, number])
        yield MetricRow(
            metric.name,
            equal=simulate_metric(metric, rng, size),
            drift=simulate_metric(metric, rng, size, drift=metric.drift),
            unequal=simulate_metric(metric, rng, size, share=0.1),
            unequal_drift=simulate_metric(metric, rng, size, share=0.1, drift=metric.drift),
            effect=simulate_metric(metric, rng, size, effect=metric.effect),
            effect_unequal=simulate_metric(metric, rng, size, share=0.1, effect=metric.effect),
            factor=metric.effect,
        )


def simulate_metric(
    metric: Metric,
    rng: np.random.Generator,
    size: Size,
    share: float = 0.5,
    drift: float = 0.0,
    effect: float = 1.0,
) -> Course:
    """All runs of one condition at once, look by look."""
    truth = metric.true_effect(effect) if metric.true_effect else effect
    decided, watched, outside = (np.zeros(size.runs, dtype=bool) for _ in range(3))
    shares, once = [], np.zeros(size.runs, dtype=bool)
    samples: tuple[Sample, Sample] | None = None
    for number in range(size.units // size.look):
        base = 1 + drift * math.sin(9 * number * size.look / size.units)
        arms = rng.random((size.runs, size.look)) < share
        drawn = metric.draw(Batch(rng, arms, base, effect))
        samples = (merge(samples[0], drawn[0]), merge(samples[1], drawn[1])) if samples else drawn
        look = metric.compare(*samples, share)
        decided |= np.asarray(look.is_decided, dtype=bool)
        outside |= _leaves_out(look, truth)
        shares.append(float(decided.mean()))
        once = np.asarray(compare_once(*metric.estimate(*samples), ALPHA).is_decided, dtype=bool)
        watched |= once
    half = next((place for place, part in enumerate(shares, 1) if part >= 0.5), None)
    median = None if half is None else half * float(size.look)
    return Course(shares[-1], 1 - float(outside.mean()), median, float(once.mean()), float(watched.mean()))


def _leaves_out(look: Look, truth: float) -> NDArray[np.bool_]:
    return np.asarray((look.low > truth) | (look.high < truth), dtype=bool)


def _make_table(title: str, *columns: str) -> Table:
    table = Table(box=box.MARKDOWN, title=title)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


def _tabulate_metrics(rows: list[MetricRow]) -> Page:
    table = _make_table(
        "Metrics, in %",
        *("metric", "false positives", "drift", "10/90", "10/90, drift", "watched"),
        *("effect", "coverage", "10/90", "power", "one look", "median"),
    )
    for row in rows:
        courses = row.equal, row.drift, row.unequal, row.unequal_drift
        table.add_row(
            row.name,
            *(_percent(course.decided) for course in courses),
            _percent(row.equal.watched),
            f"x {row.factor:g}",
            _percent(row.effect.covered),
            _percent(row.effect_unequal.covered),
            _percent(row.effect.decided),
            _percent(row.effect.once),
            _count(row.effect.median),
        )
    return table, [_keep(row) for row in rows]


def _tabulate_splits(rows: list[SplitRow]) -> Page:
    table = _make_table("Splits", "split", "alarms, %", "median units")
    for row in rows:
        table.add_row(row.name, _percent(row.alarms), _count(row.median))
    return table, [_keep(row) for row in rows]


def _tabulate_harms(rows: list[HarmRow]) -> Page:
    table = _make_table(
        "Guardrails",
        *("guardrail", "candidate", "stopped, %", "of units", "median units", "95 % by", "stated"),
        "by then, %",
    )
    for row in rows:
        counts = row.units, row.median, row.late, row.stated
        within = "" if math.isinf(row.stated) else _percent(row.within)
        table.add_row(row.guardrail, row.candidate, _percent(row.stopped), *map(_count, counts), within)
    return table, [_keep(row) for row in rows]


def _tabulate_shadow(rows: list[ShadowRow]) -> Page:
    table = _make_table(
        "Shadow", "accuracies", "pairs decided, %", "median pairs", "coverage, %", "groups, %", "median units"
    )
    for row in rows:
        table.add_row(
            row.accuracies,
            _percent(row.pairs),
            _count(row.median_pairs),
            _percent(row.covered),
            _percent(row.groups),
            _count(row.median_units),
        )
    return table, [_keep(row) for row in rows]


def _keep(row: MetricRow | SplitRow | HarmRow | ShadowRow) -> dict[str, Any]:
    """The row for JSON, where null stands for what no run reached."""
    return {
        name: None if isinstance(value, float) and math.isinf(value) else value
        for name, value in asdict(row).items()
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _count(units: float | None) -> str:
    return "" if units is None or math.isinf(units) else f"{units:,.0f}"


if __name__ == "__main__":
    typer.run(main)
