"""The verdict in words for a manager: the effect, what it costs beside it, what is missing."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adaptact.languages.catalogue import LANGUAGES, Language, mark, translate
from adaptact.languages.joining import join_list, join_sentences
from serve.experiments.amounts import (
    show_bytes,
    show_count,
    show_days,
    show_microseconds,
    show_number,
    show_quantile,
    show_share,
)
from serve.experiments.definition import Experiment
from serve.experiments.findings import (
    CandidateFindings,
    Comparison,
    Harm,
    Observations,
    ShadowFindings,
    Verdict,
    VerdictKind,
)
from serve.experiments.statistics.looks import Look

_LATENCY_QUANTILE = 0.95
_RATIO = mark(": {effect} times as high ({level} interval {low} to {high}).")
_DIFFERENCE = mark(": a difference of {effect} ({level} interval {low} to {high}).")
_OPENINGS: Mapping[VerdictKind, str] = {
    "invalid": mark("Invalid: nothing can be concluded from this experiment."),
    "harmful": mark("{candidate} is harmful."),
    "better": mark("{candidate} is better than {control}."),
    "worse": mark("{candidate} is worse than {control}."),
    "equivalent": mark("{candidate} and {control} are equivalent: they differ by less than the margin."),
    "undecided": mark("Undecided between {candidate} and {control}."),
}
_HARMS = {
    "error_rate": mark(
        "The error rate of {candidate} is {value}, the control's {before}; {margin} more are tolerated."
    ),
    "latency": mark(
        "The latency of {candidate} ({quantile}) is {value}, the control's {before}; "
        "{margin} more are tolerated."
    ),
    "nan": mark("{candidate} answers NaN to {value}, the control to {before}; {margin} are tolerated."),
    "prediction_shift": mark(
        "The share of a class that {candidate} predicts moved by {value}; {margin} are tolerated."
    ),
    "disagreement": mark(
        "{candidate} disagrees with the control on {value} of requests; {margin} are tolerated."
    ),
}


def write_sentences(
    experiment: Experiment, observations: Mapping[str, Observations], verdict: Verdict
) -> dict[Language, str]:
    """The verdict in each language."""
    return {language: _Writer(language, experiment, observations, verdict).write() for language in LANGUAGES}


@dataclass(frozen=True, slots=True)
class _Writer:
    """One verdict in one language."""

    language: Language
    experiment: Experiment
    observations: Mapping[str, Observations]
    verdict: Verdict

    def say(self, text: str, **values: object) -> str:
        """The text in the language."""
        return translate(text, self.language, **values)

    @property
    def names(self) -> dict[str, str]:
        """The variants that the verdict is about."""
        return {"candidate": self.verdict.leading.name, "control": self.experiment.control.name}

    def write(self) -> str:
        """The opening, then what it rests on."""
        opening = self.say(_OPENINGS[self.verdict.kind], **self.names)
        parts = self._explain_invalid() if self.verdict.kind == "invalid" else self._explain()
        return join_sentences([opening, *parts], self.language)

    def _explain_invalid(self) -> Iterator[str]:
        ratio = self.verdict.sample_ratio
        if ratio.is_alarm:
            counts = zip(self.experiment.variants, ratio.units, strict=True)
            units = [f"{variant.name} {show_count(count)}" for variant, count in counts]
            yield self.say(
                "The variants were met by unlike numbers of units, {units}: units are lost or "
                "assigned wrongly on the way.",
                units=join_list(units, self.language),
            )
        if self.verdict.crossed_units:
            yield self.say(
                "{units} units met more than one variant: their identity is not stable.",
                units=show_count(self.verdict.crossed_units),
            )

    def _explain(self) -> Iterator[str]:
        leading = self.verdict.leading
        if self.verdict.kind == "harmful":
            yield from (self._tell_harm(harm) for harm in self.verdict.stopping)
        if self.verdict.pausing:
            yield self.say("A signal that pauses was seen:")
            yield from (self._tell_harm(harm) for harm in self.verdict.pausing)
        yield from self._tell_effects(leading)
        if leading.shadow:
            yield from self._tell_shadow(leading.shadow)
        yield from self._tell_costs(leading)
        yield from self._tell_progress()

    def _tell_effects(self, leading: CandidateFindings) -> Iterator[str]:
        for comparison in leading.primary:
            yield self._tell_effect(comparison)
            if not comparison.history.is_steady:
                yield self.say("The effect on {metric} changes over time.", metric=comparison.metric.name)
        if not self.experiment.metrics:
            yield self.say("No metric is defined, so only guardrails are watched.")
        if self.verdict.incomplete:
            yield self.say(
                "Outcomes of {metrics} arrive for unlike shares of units, so this comparison may mislead.",
                metrics=join_list(self.verdict.incomplete, self.language),
            )
        for metric, count in self.verdict.early.items():
            yield self.say(
                "{count} outcomes of {metric} do not count: they happened before their units met "
                "the experiment, or a clock is behind.",
                metric=metric,
                count=show_count(count),
            )

    def _tell_effect(self, comparison: Comparison) -> str:
        look, history, metric = comparison.look, comparison.history, comparison.metric.name
        if not float(look.units[0]) + float(look.units[1]):
            return self.say("No outcome of {metric} is known yet.", metric=metric)
        show = show_share if comparison.metric.kind == "binary" else show_number
        name = self.say("The rate of failures of {metric}", metric=metric) if look.of_failures else metric
        before, value = show(float(look.control)), show(float(look.candidate))
        change = self.say(
            "{metric} is {value} with {candidate} and {before} with {control}",
            metric=name,
            before=before,
            value=value,
            **self.names,
        )
        if math.isinf(history.low) or math.isnan(history.effect):
            return change + self.say("; too few outcomes, or too like ones, for an interval.")
        text = _RATIO if look.scale == "ratio" else _DIFFERENCE
        values = history.effect, history.low, history.high
        is_share = comparison.metric.kind == "binary" and look.scale == "difference"
        effect, low, high = (self._show_effect(value, look, is_share) for value in values)
        if is_share:
            effect, high = (self.say("{value} points", value=value) for value in (effect, high))
        return change + self.say(text, effect=effect, low=low, high=high, level=self._level)

    def _show_effect(self, value: float, look: Look, is_share: bool) -> str:
        """A ratio as it is, a difference with its sign, that of shares in percentage points."""
        number = show_number(100 * value if is_share else value)
        return f"+{number}" if value > 0 and look.scale == "difference" else number

    @property
    def _level(self) -> str:
        return show_share(1 - self.experiment.alpha)

    def _tell_shadow(self, shadow: ShadowFindings) -> Iterator[str]:
        look, pairs = shadow.agreement, shadow.pairs
        if pairs.agreements.units:
            share, low, high = (show_share(float(value)) for value in (look.effect, look.low, look.high))
            units = show_count(float(pairs.agreements.units))
            yield self.say(
                "In shadow {candidate} answers {share} of {units} requests as {control} does "
                "({level} interval {low} to {high}).",
                share=share,
                low=low,
                high=high,
                units=units,
                level=self._level,
                **self.names,
            )
        if pairs.only_control or pairs.only_candidate:
            won, lost = show_count(pairs.only_candidate), show_count(pairs.only_control)
            more = self._tell_ratio(shadow.wins)
            yield self.say(
                "Of those with a known answer, only {candidate} is right on {won}, only "
                "{control} on {lost}{more}.",
                won=won,
                lost=lost,
                more=more,
                **self.names,
            )

    def _tell_ratio(self, wins: Look) -> str:
        """How many times as often, with its interval; nothing where one of both was never right alone."""
        values = [float(value) for value in (wins.effect, wins.low, wins.high)]
        if not all(map(math.isfinite, values)):
            return ""
        effect, low, high = map(show_number, values)
        return self.say(
            ": {effect} times as often ({level} interval {low} to {high})",
            effect=effect,
            low=low,
            high=high,
            level=self._level,
        )

    def _tell_harm(self, harm: Harm) -> str:
        is_latency = harm.guardrail.kind == "latency"
        show = show_microseconds if is_latency else show_share
        return self.say(
            _HARMS[harm.guardrail.kind],
            candidate=harm.candidate,
            value=show(harm.value),
            before=show(harm.control_value),
            margin=show_share(harm.guardrail.margin),
            quantile=show_quantile(harm.guardrail.quantile or _LATENCY_QUANTILE),
        )

    def _tell_costs(self, leading: CandidateFindings) -> Iterator[str]:
        empty = Observations()
        control = self.observations.get(self.experiment.control.name, empty)
        candidate = self.observations.get(leading.name, empty)
        costs = [
            text.format(value=value, before=before, quantile=show_quantile(_LATENCY_QUANTILE))
            for text, before, value in self._pair_costs(control, candidate)
            if value != before
        ]
        if costs:
            yield self.say("Beside it: {costs}.", costs=join_list(costs, self.language))

    def _pair_costs(self, control: Observations, candidate: Observations) -> Iterator[tuple[str, str, str]]:
        """Each cost that is known of both: its text, the control's value and the candidate's."""
        latencies = [float(arm.behaviour.latency.quantile(_LATENCY_QUANTILE)) for arm in (control, candidate)]
        if not any(map(math.isnan, latencies)):
            yield (
                self.say("latency ({quantile}) {value} instead of {before}"),
                show_microseconds(latencies[0]),
                show_microseconds(latencies[1]),
            )
        memory = control.expense.memory_bytes, candidate.expense.memory_bytes
        if memory[0] is not None and memory[1] is not None:
            text = self.say("memory {value} instead of {before}")
            yield text, show_bytes(memory[0]), show_bytes(memory[1])
        seconds = control.expense.cpu_seconds_per_thousand, candidate.expense.cpu_seconds_per_thousand
        if seconds[0] is None or seconds[1] is None:
            return
        yield (
            self.say("{value} instead of {before} CPU seconds of runs per thousand requests"),
            show_number(seconds[0]),
            show_number(seconds[1]),
        )
        price = self.experiment.price_per_cpu_hour
        before, value = (arm.expense.price_per_million(price) for arm in (control, candidate))
        if before is not None and value is not None:
            yield (
                self.say("{value} instead of {before} per million requests at the set price"),
                show_number(before),
                show_number(value),
            )

    def _tell_progress(self) -> Iterator[str]:
        progress = self.verdict.progress
        share = show_share(math.floor(progress.share * 100) / 100)
        yield self.say(
            "Known from {units} units, {share} of the plan.", units=show_count(progress.units), share=share
        )
        if progress.open_units:
            yield self.say(
                "{units} more count once the time for their outcome is over.",
                units=show_count(progress.open_units),
            )
        if self.verdict.kind != "undecided":
            return
        if progress.days_to_go is None:
            yield self.say("No unit has joined today, so the end cannot be foreseen.")
        elif progress.days_to_go > 0:
            yield self.say(
                "About {days} to go at today's traffic.", days=show_days(progress.days_to_go, self.language)
            )
        elif self.experiment.metrics:
            yield self.say(
                "The planned units are reached: an effect smaller than the plan can show may remain."
            )
