"""The sections of a report: what stands in each, in one language; the page's template escapes all texts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from serve.client.experiments import amounts
from serve.client.experiments.bands import find_metric
from serve.client.experiments.drawing import Band, Chart, Curve, draw
from serve.client.experiments.replies import Audit, Experiment, Look, Metric, Phase, Results, Variant
from serve.client.experiments.trail import Trail
from serve.client.experiments.words import Language, translate

DIGEST_CHARACTERS = 12
Rows: TypeAlias = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a server says of one experiment."""

    experiment: Experiment
    results: Results
    looks: Sequence[Look]
    phases: Sequence[Phase]
    audit: Audit


@dataclass(frozen=True, slots=True)
class Text:
    """One paragraph."""

    paragraph: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a header."""

    header: Sequence[str]
    rows: Rows
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the parts below it."""

    title: str
    parts: Sequence[Text | Table | Chart]


@dataclass(frozen=True, slots=True)
class SectionWriter:
    """The sections of one report in one language."""

    evidence: Evidence
    language: Language

    def say(self, word: str) -> str:
        """The word in the language of the report."""
        return translate(self.language, word)

    @property
    def trail(self) -> Trail:
        """The texts of who did what."""
        return Trail(self.language)

    def list_sections(self) -> Iterator[Section]:
        """All sections, in the order of what matters."""
        results = self.evidence.results
        yield Section(
            self.say("effect_over_time"), list(self._draw_effects()) or [Text(self.say("no_looks"))]
        )
        if results.metrics:
            yield Section(self.say("metrics"), [self._tabulate_metrics(), Text(self.say("metrics_note"))])
        if results.guardrails:
            yield Section(
                self.say("guardrails"), [self._tabulate_guardrails(), Text(self.say("guardrails_note"))]
            )
        yield Section(self.say("costs"), [self._tabulate_costs()])
        yield Section(self.say("exposures_over_time"), self._draw_exposures())
        yield Section(self.say("sample_ratio"), self._check_split())
        if results.shadow:
            yield Section(self.say("in_shadow"), [self._tabulate_shadow()])
        yield Section(self.say("overview"), [self._tabulate_facts()])
        yield Section(self.say("phases"), [self._tabulate_phases()])
        yield Section(self.say("audit"), [self._tabulate_audit()])

    def _draw_effects(self) -> Iterator[Chart]:
        control = self.evidence.experiment.definition.control.name
        for last in self.evidence.results.metrics:
            caption = self.say("effect_caption").format(
                metric=self._name(last), candidate=last.candidate, control=control
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
            return [Text(self.say("no_looks"))]
        curves = [
            Curve(name, [(look.at, look.results.sample_ratio.units.get(name, 0)) for look in looks], colour)
            for colour, name in enumerate(v.name for v in (definition.control, *definition.candidates))
        ]
        return [draw(self.say("exposures_caption"), curves, amounts.show_amount)]

    def _tabulate_metrics(self) -> Table:
        header = (
            "metric",
            "candidate",
            "control",
            "value",
            "units",
            "effect",
            "interval",
            "finding",
            "looks",
        )
        rows = [
            (
                f"{self._name(metric)}{' *' if metric.is_primary else ''}",
                metric.candidate,
                *(amounts.show_value(metric, value) for value in _pair_values(metric)),
                " / ".join(f"{known.units:,}" for known in metric.variants),
                amounts.show_effect(metric, metric.effect),
                amounts.show_interval(metric),
                self.say(metric.finding),
                f"{metric.looks:,}",
            )
            for metric in self.evidence.results.metrics
        ]
        return self._make_table(header, rows)

    def _tabulate_guardrails(self) -> Table:
        header = ("guardrail", "candidate", "control", "value", "margin", "stops", "action", "state")
        rows = [
            (
                amounts.show_kind(known).replace(known.kind, self.say(known.kind), 1),
                known.candidate,
                amounts.show_harm(known, known.control_value),
                amounts.show_harm(known, known.value),
                amounts.show_amount(known.margin),
                amounts.show_statement(known),
                self.say(known.action),
                self.say("harm" if known.is_shown else "fine"),
            )
            for known in self.evidence.results.guardrails
        ]
        return self._make_table(header, rows)

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
        header = ("variant", "p50", "p95", "p99", "model_size", "memory", "cpu", "price")
        return self._make_table(header, rows)

    def _check_split(self) -> Sequence[Text | Table]:
        split = self.evidence.results.sample_ratio
        rows = [(name, f"{units:,}") for name, units in split.units.items()]
        rows.append((self.say("crossed"), f"{split.crossed_units:,}"))
        return [
            Text(self.say("split_wrong" if split.is_alarm else "split_fine")),
            self._make_table(("variant", "units"), rows),
        ]

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
        header = ("candidate", "agreement", "interval", "pairs", "only_control", "only_candidate")
        return self._make_table(header, rows)

    def _tabulate_facts(self) -> Table:
        known, progress = self.evidence.experiment, self.evidence.results.progress
        definition = known.definition
        done = self.say("progress_text").format(
            units=f"{progress.units:,}", planned=f"{progress.planned_units:,}"
        )
        rows = [
            ("model", definition.model),
            ("control", _describe_variant(definition.control, known)),
            *(("candidate", _describe_variant(candidate, known)) for candidate in definition.candidates),
            ("stage", f"{self.say(known.phase.stage)} {amounts.show_step(known.phase.step_percent)}"),
            ("progress", done),
            ("waiting", f"{progress.open_units:,}"),
            ("days_to_go", amounts.show_day_count(progress.days_to_go)),
            ("alpha", f"{definition.alpha:g}"),
            ("revision", str(known.revision)),
        ]
        return self._make_table(("what", "value"), [(self.say(word), value) for word, value in rows])

    def _tabulate_phases(self) -> Table:
        rows = [
            (
                str(phase.number),
                str(phase.comparison),
                self.say(phase.stage) + (f": {phase.promoted}" if phase.promoted else ""),
                amounts.show_step(phase.step_percent),
                amounts.show_time(phase.started_at),
                self.trail.name_author(phase.by),
                self.trail.explain(phase.reason),
            )
            for phase in self.evidence.phases
        ]
        return self._make_table(("phase", "comparison", "stage", "step", "since", "by", "reason"), rows)

    def _tabulate_audit(self) -> Table:
        rows = [
            (
                amounts.show_time(entry.at),
                self.trail.name_author(entry.by),
                self.trail.name_act(entry.action),
                self.trail.describe(entry.detail),
            )
            for entry in self.evidence.audit.entries
        ]
        return self._make_table(("time", "by", "action", "detail"), rows)

    def _name(self, metric: Metric) -> str:
        return self.say("failures").format(metric=metric.name) if metric.of_failures else metric.name

    def _make_table(self, header: Sequence[str], rows: Rows) -> Table:
        return Table([self.say(word) for word in header], rows)


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
