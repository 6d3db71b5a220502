"""Experiments, verdicts and plans as tables for people; `adaptact.console` escapes every cell."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from adaptact.console import table
from adaptact.tables import FittedTable
from adaptact.text import escape, escape_line
from serve.client.experiments import amounts
from serve.client.experiments.bands import draw_bands
from serve.client.experiments.plan_replies import Plan
from serve.client.experiments.replies import (
    Experiment,
    ExperimentList,
    Looks,
    Receipt,
    Results,
    Variant,
)

STYLES = {"better": "green", "equivalent": "green", "worse": "red", "harmful": "red", "invalid": "red"}
MOST_REASONS = 20


def tabulate_experiments(found: ExperimentList) -> FittedTable:
    """A row an experiment."""
    return table(
        ("experiment", "model", "stage", "step", "variants", "possible now"),
        [
            (
                known.name,
                known.definition.model,
                known.phase.stage,
                amounts.show_step(known.phase.step_percent),
                ", ".join(v.name for v in (known.definition.control, *known.definition.candidates)),
                ", ".join(known.possible),
            )
            for known in found.experiments
        ],
    )


def describe_experiment(known: Experiment) -> RenderableType:
    """What an experiment is, and in which phase."""
    phase, definition = known.phase, known.definition
    reason = f": {phase.reason}" if phase.reason else ""
    step = f" at {phase.step_percent:g} %" if phase.step_percent else ""
    since = f"since {amounts.show_time(phase.started_at)} UTC, by {phase.by}{reason}"
    rows = [
        ("experiment", f"{known.name}, revision {known.revision}"),
        ("phase", f"{phase.number}: {phase.stage}{step}, {since}"),
        ("control", _describe_variant(definition.control, known)),
        *(("candidate", _describe_variant(each, known)) for each in definition.candidates),
        ("possible now", ", ".join(known.possible)),
    ]
    return table(("what", "value"), rows)


def show_results(results: Results, looks: Looks) -> RenderableType:
    """The verdict's sentence, then what it rests on."""
    sentence = Text(escape(results.sentence, longest=None), style=STYLES.get(results.verdict, "yellow"))
    return Group(sentence, *_list_tables(results), *_plot_bands(results, looks))


def _list_tables(results: Results) -> Iterator[RenderableType]:
    if results.metrics:
        yield _tabulate_metrics(results)
    if results.guardrails:
        yield _tabulate_guardrails(results)
    yield _tabulate_costs(results)


def _tabulate_metrics(results: Results) -> FittedTable:
    rows = []
    for metric in results.metrics:
        values = [f"{amounts.show_value(metric, known.value)} ({known.units:,})" for known in metric.variants]
        effect, interval = amounts.show_effect(metric, metric.effect), amounts.show_interval(metric)
        shown = f"failures of {metric.name}" if metric.of_failures else metric.name
        name = f"{shown} *" if metric.is_primary else shown
        rows.append((name, metric.candidate, " / ".join(values), effect, interval, metric.finding))
    header = ("metric", "candidate", "control / candidate (units)", "effect", "interval", "finding")
    return table(header, rows, title="Metrics (* decides)")


def _tabulate_guardrails(results: Results) -> FittedTable:
    rows = [
        (
            amounts.show_kind(known),
            known.candidate,
            amounts.show_harm(known, known.control_value),
            amounts.show_harm(known, known.value),
            amounts.show_amount(known.margin),
            amounts.show_statement(known),
            f"HARM: {known.action}" if known.is_shown else "fine",
        )
        for known in results.guardrails
    ]
    return table(("guardrail", "candidate", "control", "value", "margin", "stops", "state"), rows)


def _tabulate_costs(results: Results) -> FittedTable:
    units = results.sample_ratio.units
    rows = [
        (
            name,
            amounts.show_units(units.get(name)),
            *(amounts.show_latency(cost.latency_us.get(p)) for p in ("p50", "p95", "p99")),
            amounts.show_memory(cost.model_bytes),
            amounts.show_memory(cost.memory_bytes),
            amounts.show_amount(cost.cpu_seconds_per_thousand),
            amounts.show_amount(cost.price_per_million),
        )
        for name, cost in results.costs.items()
    ]
    header = ("variant", "units", "p50", "p95", "p99", "file", "memory", "CPU s / 1000", "price / million")
    return table(header, rows, title="WRONG SPLIT OF UNITS" if results.sample_ratio.is_alarm else "")


def _plot_bands(results: Results, looks: Looks) -> Iterator[Text]:
    for metric in results.metrics:
        if metric.is_primary and (lines := draw_bands(looks.looks, metric.name, metric.candidate)):
            title = (
                f"{metric.name} of {metric.candidate}: effect and interval over time (UTC), | is no effect"
            )
            yield Text(escape_line(title), style="table.title")
            yield Text("\n".join(lines), no_wrap=True)


def show_plan(plan: Plan) -> RenderableType:
    """What the experiment will show, and when."""
    assumed, sources = plan.assumptions, {"server": "requests to the model", "experiment": "its own units"}
    traffic = f"{assumed.units_per_day:,.0f} units a day ({sources.get(plan.traffic, plan.traffic)})"
    facts = [
        ("planned units", f"{plan.planned_units:,}, {amounts.show_day_count(plan.days)} days"),
        ("traffic", traffic),
        ("assumed", f"a change of {assumed.change:.3g}, power {assumed.power:.3g}"),
    ]
    parts: list[RenderableType] = [table((plan.name, ""), facts)]
    if plan.metrics:
        parts.append(_tabulate_planned_metrics(plan))
    if plan.guardrails:
        parts.append(_tabulate_planned_guardrails(plan))
    if missing := [*plan.unplanned_metrics, *plan.unplanned_guardrails]:
        text = f"Not planned, since too little was seen of them: {', '.join(missing)}"
        parts.append(Text(escape_line(text), style="yellow"))
    return Group(*parts)


def _tabulate_planned_metrics(plan: Plan) -> FittedTable:
    rows = [
        (
            f"{metric.name}{' *' if metric.is_primary else ''}",
            amounts.show_value(metric, metric.value),
            amounts.NOTHING if metric.detectable is None else f"±{100 * abs(metric.detectable):.3g} %",
            amounts.show_units(metric.units),
            amounts.show_units(metric.units_at_once),
            amounts.show_day_count(metric.days),
        )
        for metric in plan.metrics
    ]
    header = ("metric", "now", "least change shown", "units for the change", "in one look", "days")
    return table(header, rows)


def _tabulate_planned_guardrails(plan: Plan) -> FittedTable:
    rows = [
        (
            amounts.show_kind(known),
            amounts.show_assumed_harm(known),
            known.action,
            amounts.show_units(known.units),
            amounts.show_day_count(known.days),
        )
        for known in plan.guardrails
    ]
    return table(("guardrail", "harm of", "action", "within units", "days"), rows)


def tabulate_refused(receipt: Receipt) -> FittedTable:
    """The first outcomes that were refused, with their lines."""
    rows = [(str(refused.place), refused.reason) for refused in receipt.reasons[:MOST_REASONS]]
    return table(("line", "refused"), rows)


def describe_unknown(receipt: Receipt) -> Iterator[str]:
    """A line on the outcomes that are of metrics that no experiment has, and one for each such metric."""
    if receipt.unknown:
        yield f"{receipt.unknown} are of metrics that no experiment has: they count for none until one does"
    for each in receipt.unknown_metrics:
        yield f"  `{each.metric}`: {each.count}{f'; {each.suggestion}' if each.suggestion else ''}"


def _describe_variant(variant: Variant, known: Experiment) -> str:
    """What the definition says, and which version that is as long as the comparison lasts."""
    version = "" if variant.version is None else f", version {variant.version}"
    pin = known.phase.pins.get(variant.name)
    if pin is not None and pin.version != variant.version:
        version += f", which is {pin.version}" if version else f", version {pin.version}"
    return f"{variant.name}: {variant.model or known.definition.model}{version}"
