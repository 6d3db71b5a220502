"""Experiments, verdicts and plans as tables for people; `adaptact.console` escapes every cell."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from adaptact.console import table
from adaptact.languages.joining import join_list
from adaptact.languages.spoken import say, say_all
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
from serve.client.experiments.trail import explain_reason, name_author
from serve.client.experiments.words import name_word

STYLES = {"better": "green", "equivalent": "green", "worse": "red", "harmful": "red", "invalid": "red"}
MOST_REASONS = 20


def tabulate_experiments(found: ExperimentList) -> FittedTable:
    """A row an experiment."""
    return table(
        say_all("experiment", "model", "stage", "step", "variants", "possible now"),
        [
            (
                known.name,
                known.definition.model,
                name_word(known.phase.stage),
                amounts.show_step(known.phase.step_percent),
                ", ".join(v.name for v in (known.definition.control, *known.definition.candidates)),
                _list_acts(known),
            )
            for known in found.experiments
        ],
    )


def describe_experiment(known: Experiment) -> RenderableType:
    """What an experiment is, and in which phase."""
    phase, definition = known.phase, known.definition
    reason = say(": ") + explain_reason(phase.reason) if phase.reason else ""
    step = f" {phase.step_percent:g} %" if phase.step_percent else ""
    since = say(
        "since {time} UTC, by {author}",
        time=amounts.show_time(phase.started_at),
        author=name_author(phase.by),
    )
    stage = join_list([f"{phase.number}{say(': ')}{name_word(phase.stage)}{step}", since]) + reason
    rows = [
        (say("experiment"), say("{name}, revision {number}", name=known.name, number=known.revision)),
        (say("phase"), stage),
        (say("control"), _describe_variant(definition.control, known)),
        *((say("candidate"), _describe_variant(each, known)) for each in definition.candidates),
        (say("possible now"), _list_acts(known)),
    ]
    return table(say_all("what", "value"), rows)


def _list_acts(known: Experiment) -> str:
    """What can be done, as the command calls it, which stays so in every language."""
    return ", ".join(known.possible)


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
        shown = say("failures of {metric}", metric=metric.name) if metric.of_failures else metric.name
        name = f"{shown} *" if metric.is_primary else shown
        finding = name_word(metric.finding)
        rows.append((name, metric.candidate, " / ".join(values), effect, interval, finding))
    header = say_all("metric", "candidate", "control / candidate (units)", "effect", "interval", "finding")
    return table(header, rows, title=say("Metrics (* decides)"))


def _tabulate_guardrails(results: Results) -> FittedTable:
    rows = [
        (
            amounts.show_kind(known),
            known.candidate,
            amounts.show_harm(known, known.control_value),
            amounts.show_harm(known, known.value),
            amounts.show_amount(known.margin),
            amounts.show_statement(known),
            say("HARM: {action}", action=name_word(known.action)) if known.is_shown else say("fine"),
        )
        for known in results.guardrails
    ]
    header = say_all("guardrail", "candidate", "control", "value", "margin", "stops", "state")
    return table(header, rows)


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
    header = (
        *(*say_all("variant", "units"), "p50", "p95", "p99"),
        *say_all("file", "memory", "CPU s / 1000", "price / million"),
    )
    return table(header, rows, title=say("WRONG SPLIT OF UNITS") if results.sample_ratio.is_alarm else "")


def _plot_bands(results: Results, looks: Looks) -> Iterator[Text]:
    for metric in results.metrics:
        if metric.is_primary and (lines := draw_bands(looks.looks, metric.name, metric.candidate)):
            title = say(
                "{metric} of {candidate}: effect and interval over time (UTC), | is no effect",
                metric=metric.name,
                candidate=metric.candidate,
            )
            yield Text(escape_line(title), style="table.title")
            yield Text("\n".join(lines), no_wrap=True)


def show_plan(plan: Plan) -> RenderableType:
    """What the experiment will show, and when."""
    assumed = plan.assumptions
    sources = {"server": say("requests to the model"), "experiment": say("its own units")}
    traffic = say(
        "{units} units a day ({source})",
        units=f"{assumed.units_per_day:,.0f}",
        source=sources.get(plan.traffic, plan.traffic),
    )
    planned = say(
        "{units}, {days} days", units=f"{plan.planned_units:,}", days=amounts.show_day_count(plan.days)
    )
    assumption = say(
        "a change of {change}, power {power}", change=f"{assumed.change:.3g}", power=f"{assumed.power:.3g}"
    )
    facts = [
        (say("planned units"), planned),
        (say("traffic"), traffic),
        (say("assumed"), assumption),
    ]
    parts: list[RenderableType] = [table((plan.name, ""), facts)]
    if plan.metrics:
        parts.append(_tabulate_planned_metrics(plan))
    if plan.guardrails:
        parts.append(_tabulate_planned_guardrails(plan))
    if missing := [*plan.unplanned_metrics, *map(name_word, plan.unplanned_guardrails)]:
        text = say("Not planned, since too little was seen of them: {names}", names=join_list(missing))
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
    header = say_all("metric", "now", "least change shown", "units for the change", "in one look", "days")
    return table(header, rows)


def _tabulate_planned_guardrails(plan: Plan) -> FittedTable:
    rows = [
        (
            amounts.show_kind(known),
            amounts.show_assumed_harm(known),
            name_word(known.action),
            amounts.show_units(known.units),
            amounts.show_day_count(known.days),
        )
        for known in plan.guardrails
    ]
    return table(say_all("guardrail", "harm of", "action", "within units", "days"), rows)


def tabulate_refused(receipt: Receipt) -> FittedTable:
    """The first outcomes that were refused, with their lines."""
    rows = [(str(refused.place), refused.reason) for refused in receipt.reasons[:MOST_REASONS]]
    return table(say_all("line", "refused"), rows)


def describe_unknown(receipt: Receipt) -> Iterator[str]:
    """A line on the outcomes that are of metrics that no experiment has, and one for each such metric."""
    if receipt.unknown:
        yield say(
            "{count} are of metrics that no experiment has: they count for none until one does",
            count=receipt.unknown,
        )
    for each in receipt.unknown_metrics:
        yield f"  `{each.metric}`: {each.count}{f'; {each.suggestion}' if each.suggestion else ''}"


def _describe_variant(variant: Variant, known: Experiment) -> str:
    """What the definition says, and which version that is as long as the comparison lasts."""
    parts = [f"{variant.name}: {variant.model or known.definition.model}"]
    if variant.version is not None:
        parts.append(say("version {version}", version=variant.version))
    pin = known.phase.pins.get(variant.name)
    if pin is not None and pin.version != variant.version:
        text = say("which is {version}") if variant.version is not None else say("version {version}")
        parts.append(text.format(version=pin.version))
    return join_list(parts)
