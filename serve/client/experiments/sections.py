"""The sections of a report: what stands in each, in one language; the page's template escapes all texts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from adaptact.languages.catalogue import mark
from adaptact.languages.spoken import say, say_all
from adaptact.report.charts import Band, Chart, Curve, draw
from adaptact.report.parts import Section, Table, Text
from serve.client.experiments import amounts
from serve.client.experiments.bands import find_metric
from serve.client.experiments.replies import Audit, Experiment, Look, Metric, Phase, Results, Variant
from serve.client.experiments.trail import describe_detail, explain_reason, name_author
from serve.client.experiments.words import name_word

DIGEST_CHARACTERS = 12
_NO_LOOKS = mark(
    "There is no effect to draw yet: it is drawn from the first look on at which outcomes count."
)
_NO_LOOKS_KEPT = mark(
    "No look was taken while it ran: it ran for a shorter time than lies between two looks."
)
_ENDED = {"promoted", "stopped"}
_EFFECT = mark(
    "{metric}: {candidate} beside {control}. The band holds the true effect at all times "
    "at once; the dashed line is no effect, grey lines are new phases. Times are UTC."
)
_METRICS = mark("* The verdict depends on it. The interval is what all looks so far have in common.")
_GUARDRAILS = mark(
    "Stops: a candidate that does so much harm from its beginning is stopped within so "
    "many units, in 95 of 100 experiments."
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a server says of one experiment."""

    experiment: Experiment
    results: Results
    looks: Sequence[Look]
    phases: Sequence[Phase]
    audit: Audit


@dataclass(frozen=True, slots=True)
class SectionWriter:
    """The sections of one report, in the language that is spoken."""

    evidence: Evidence

    def list_sections(self) -> Iterator[Section]:
        """All sections, in the order of what matters."""
        results = self.evidence.results
        yield Section(
            say("Effect over time"),
            list(self._draw_effects()) or [self._explain_no_looks()],
        )
        if results.metrics:
            yield Section(
                say("Metrics"),
                [
                    self._tabulate_metrics(),
                    Text(say(_METRICS)),
                ],
            )
        if results.guardrails:
            yield Section(
                say("Guardrails"),
                [
                    self._tabulate_guardrails(),
                    Text(say(_GUARDRAILS)),
                ],
            )
        yield Section(say("Costs by variant"), [self._tabulate_costs()])
        yield Section(say("Exposures over time"), self._draw_exposures())
        yield Section(say("Sample ratio"), self._check_split())
        if results.shadow:
            yield Section(say("Shadow"), [self._tabulate_shadow()])
        yield Section(say("What is compared"), [self._tabulate_facts()])
        yield Section(say("Phases"), [self._tabulate_phases()])
        yield Section(say("Audit trail"), [self._tabulate_audit()])

    def _explain_no_looks(self) -> Text:
        has_ended = self.evidence.experiment.phase.stage in _ENDED
        return Text(say(_NO_LOOKS_KEPT if has_ended else _NO_LOOKS))

    def _draw_effects(self) -> Iterator[Chart]:
        control = self.evidence.experiment.definition.control.name
        for last in self.evidence.results.metrics:
            caption = say(
                _EFFECT,
                metric=self._name(last),
                candidate=last.candidate,
                control=control,
            )
            looks = self.evidence.looks
            found = [
                (look.at, known) for look in looks if (known := find_metric(look, last.name, last.candidate))
            ]
            effects = [(at, known.effect) for at, known in found if known.effect is not None]
            if not effects:
                continue
            yield draw(
                caption,
                [Curve(last.candidate, effects)],
                _make_show(last),
                band=Band([at for at, _ in found], *_list_ends([known for _, known in found])),
                baseline=last.no_effect,
                marks={phase.started_at: str(phase.number) for phase in self.evidence.phases},
            )

    def _draw_exposures(self) -> Sequence[Chart | Text]:
        looks, definition = self.evidence.looks, self.evidence.experiment.definition
        if not looks:
            return [self._explain_no_looks()]
        curves = [
            Curve(name, [(look.at, look.results.sample_ratio.units.get(name, 0)) for look in looks], colour)
            for colour, name in enumerate(v.name for v in (definition.control, *definition.candidates))
        ]
        return [
            draw(
                say("Units that met each variant, at each look. Times are UTC."), curves, amounts.show_amount
            )
        ]

    def _tabulate_metrics(self) -> Table:
        header = say_all(
            "metric", "candidate", "control", "value", "units", "effect", "interval", "finding", "looks"
        )
        rows = [
            (
                f"{self._name(metric)}{' *' if metric.is_primary else ''}",
                metric.candidate,
                *(amounts.show_value(metric, value) for value in _pair_values(metric)),
                " / ".join(f"{known.units:,}" for known in metric.variants),
                amounts.show_effect(metric, metric.effect),
                amounts.show_interval(metric),
                name_word(metric.finding),
                f"{metric.looks:,}",
            )
            for metric in self.evidence.results.metrics
        ]
        return Table(header, rows)

    def _tabulate_guardrails(self) -> Table:
        header = say_all("guardrail", "candidate", "control", "value", "margin", "stops", "action", "state")
        rows = [
            (
                amounts.show_kind(known).replace(known.kind, name_word(known.kind), 1),
                known.candidate,
                amounts.show_harm(known, known.control_value),
                amounts.show_harm(known, known.value),
                amounts.show_amount(known.margin),
                amounts.show_statement(known),
                name_word(known.action),
                say("HARM") if known.is_shown else say("fine"),
            )
            for known in self.evidence.results.guardrails
        ]
        return Table(header, rows)

    def _tabulate_costs(self) -> Table:
        rows = [
            (
                name,
                *(amounts.show_latency(cost.latency_us.get(p)) for p in ("p50", "p95", "p99")),
                amounts.show_memory(cost.model_bytes),
                amounts.show_memory(cost.memory_bytes),
                amounts.show_amount(cost.cpu_seconds_per_thousand),
                amounts.show_amount(cost.price_per_million),
            )
            for name, cost in self.evidence.results.costs.items()
        ]
        return Table(
            (
                say("variant"),
                "p50",
                "p95",
                "p99",
                *say_all(
                    "model file", "memory", "CPU s of runs per 1000 requests", "price per million requests"
                ),
            ),
            rows,
        )

    def _check_split(self) -> Sequence[Text | Table]:
        split = self.evidence.results.sample_ratio
        rows = [(name, f"{units:,}") for name, units in split.units.items()]
        rows.append((say("units that met more than one variant"), f"{split.crossed_units:,}"))
        if split.is_alarm:
            told = say("The units are NOT in the designed shares: nothing may be concluded.")
        elif any(split.units.values()):
            told = say("The units are in the designed shares.")
        else:
            told = say("There are no units yet, whose shares could be tested.")
        return [Text(told), Table(say_all("variant", "units"), rows)]

    def _tabulate_shadow(self) -> Table:
        rows = [
            (
                known.candidate,
                _show_share(known.agreement.effect),
                f"{_show_share(known.agreement.low)} … {_show_share(known.agreement.high)}",
                f"{known.agreement.units:,}",
                f"{known.only_control:,}",
                f"{known.only_candidate:,}",
            )
            for known in self.evidence.results.shadow
        ]
        header = say_all(
            "candidate",
            "same answer",
            "interval",
            "pairs",
            "only the control right",
            "only the candidate right",
        )
        return Table(header, rows)

    def _tabulate_facts(self) -> Table:
        known, progress = self.evidence.experiment, self.evidence.results.progress
        definition = known.definition
        done = say(
            "{units} of {planned} planned units",
            units=f"{progress.units:,}",
            planned=f"{progress.planned_units:,}",
        )
        rows = [
            (say("model"), definition.model),
            (say("control"), _describe_variant(definition.control, known)),
            *((say("candidate"), _describe_variant(candidate, known)) for candidate in definition.candidates),
            (say("stage"), f"{name_word(known.phase.stage)} {amounts.show_step(known.phase.step_percent)}"),
            (say("progress"), done),
            (say("units whose time for an outcome still runs"), f"{progress.open_units:,}"),
            (say("days to go at today's traffic"), amounts.show_day_count(progress.days_to_go)),
            (say("chance of a wrong verdict"), f"{definition.alpha:g}"),
            (say("revision"), str(known.revision)),
        ]
        return Table(say_all("what", "value"), rows)

    def _tabulate_phases(self) -> Table:
        rows = [
            (
                str(phase.number),
                str(phase.comparison),
                name_word(phase.stage) + (f": {phase.promoted}" if phase.promoted else ""),
                amounts.show_step(phase.step_percent),
                amounts.show_time(phase.started_at),
                name_author(phase.by),
                explain_reason(phase.reason),
            )
            for phase in self.evidence.phases
        ]
        return Table(say_all("phase", "comparison", "stage", "step", "since (UTC)", "by", "reason"), rows)

    def _tabulate_audit(self) -> Table:
        rows = [
            (
                amounts.show_time(entry.at),
                name_author(entry.by),
                name_word(entry.action),
                describe_detail(entry.detail),
            )
            for entry in self.evidence.audit.entries
        ]
        return Table(say_all("time (UTC)", "by", "action", "detail"), rows)

    def _name(self, metric: Metric) -> str:
        return say("failures of {metric}", metric=metric.name) if metric.of_failures else metric.name


def _make_show(metric: Metric) -> Callable[[float], str]:
    return lambda value: amounts.show_effect(metric, value)


def _list_ends(metrics: Sequence[Metric]) -> tuple[list[float | None], list[float | None]]:
    return [metric.low for metric in metrics], [metric.high for metric in metrics]


def _pair_values(metric: Metric) -> tuple[float | None, float | None]:
    """The control's value and the candidate's."""
    values = {known.name: known.value for known in metric.variants}
    control = next((value for name, value in values.items() if name != metric.candidate), None)
    return control, values.get(metric.candidate)


def _show_share(value: float | None) -> str:
    return amounts.NOTHING if value is None else f"{100 * value:.3g} %"


def _describe_variant(variant: Variant, known: Experiment) -> str:
    """What the definition says, and what stands for it as long as the comparison lasts."""
    text = " ".join(part for part in (variant.name, variant.model, variant.version) if part)
    pin = known.phase.pins.get(variant.name)
    if pin is None:
        return text
    digest = f", SHA-256 {pin.digest[:DIGEST_CHARACTERS]}" if pin.digest else ""
    return f"{text}: {pin.model} {pin.version}{digest}"
