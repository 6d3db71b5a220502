"""Tables of the manifest's records as text, for a console and for a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell, retell_set
from adaptact.languages.spoken import say, say_all, say_count
from adaptive_act.explain.wording import format_range, format_share
from convert.manifest.baseline import BaselineRecord
from convert.manifest.manifest import (
    ActivationRecord,
    AgreementRecord,
    Manifest,
    OutputRecord,
    ParityRecord,
)
from convert.manifest.records import Strength, TrialRecord, TuningRecord

Row = tuple[str, ...]
NOTHING = "–"
STRENGTHS: Mapping[Strength, str] = {
    "strong": mark("strong"),
    "weak": mark("weak"),
    "unknown": mark("unknown"),
}


class TextTable(NamedTuple):
    """Rows of cells under a header."""

    header: Row
    rows: Sequence[Row]


def tabulate_tensors(manifest: Manifest) -> TextTable:
    """The inputs and outputs, with the bounds of their sizes."""
    kinds = ((say("input"), manifest.inputs), (say("output"), manifest.outputs))
    bounds: Mapping[int | str, str] = {bounds.name: bounds.text for bounds in manifest.sizes}
    rows = [
        (
            kind,
            tensor.name,
            tensor.dtype,
            f"[{', '.join(bounds.get(size, str(size)) for size in tensor.shape)}]",
        )
        for kind, tensors in kinds
        for tensor in tensors
    ]
    return TextTable(say_all("input or output", "name", "type", "shape"), rows)


def tabulate_activations(activations: Iterable[ActivationRecord]) -> TextTable:
    """The learned values of each layer; ranges are over the channels."""
    rows = [
        (
            record.layer,
            record.kind,
            record.replaced or NOTHING,
            _format_values(record.values),
            _format_values(record.start.values) if record.start else NOTHING,
            format_share(record.reach.below_zero) if record.reach else NOTHING,
        )
        for record in activations
    ]
    header = say_all("layer", "kind", "replaced", "learned values", "started at", "inputs below 0")
    return TextTable(header, rows)


def tabulate_reach(activations: Iterable[ActivationRecord], baseline: BaselineRecord | None) -> TextTable:
    """The ends of each layer's inputs at export, and the range by which drift judges live ones."""
    rows = [
        (
            record.layer,
            _format_end(record.reach.least),
            _format_end(record.reach.most),
            f"{record.reach.inputs:,}",
            _format_watched(baseline, record.layer),
        )
        for record in activations
        if record.reach is not None
    ]
    header = say_all("layer", "lowest input", "highest input", "inputs measured", "range for drift")
    return TextTable(header, rows)


def _format_end(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4g}"


def _format_watched(baseline: BaselineRecord | None, layer: str) -> str:
    """The range of each value that reaches the layer in the file, which a rule may have scaled."""
    series = () if baseline is None else baseline.series
    ranges = [
        say("{low} to {high}", low=f"{each.low:.4g}", high=f"{each.high:.4g}")
        for each in series
        if each.layer == layer and each.low is not None and each.high is not None
    ]
    return join_list(ranges) or NOTHING


def _format_values(values: dict[str, tuple[float, ...]]) -> str:
    ranges = (f"{name} = {format_range(np.array(numbers))}" for name, numbers in values.items())
    return join_list(ranges) or NOTHING


def tabulate_parity(outputs: Iterable[OutputRecord]) -> TextTable:
    """The errors of each output on typical samples, then in the set where it is closest to its allowance."""
    header = (
        *say_all("output", "scale", "median error / scale"),
        "99 %",
        *say_all("largest", "× float32's", "hardest samples", "error", "allowed", "top-1 agreement"),
    )
    return TextTable(header, [_output_row(output) for output in outputs])


def _output_row(output: OutputRecord) -> Row:
    over_scale = output.over_scale()
    return (
        output.name,
        f"{output.typical_scale or output.scale:g}",
        *(f"{over_scale[part]:.2g}" if part in over_scale else NOTHING for part in ("0.5", "0.99", "1")),
        NOTHING if output.ratio is None else f"{output.ratio:.2g}",
        retell_set(output.worst_set),
        f"{output.file_error:g}",
        _format_allowance(output),
        format_agreement(output.top1) if output.top1 else NOTHING,
    )


def _format_allowance(output: OutputRecord) -> str:
    if not output.tolerance:
        return f"{output.allowed:g}"
    return say(
        "{allowed}, tolerance {tolerance}", allowed=f"{output.allowed:g}", tolerance=f"{output.tolerance:g}"
    )


def format_agreement(record: AgreementRecord) -> str:
    """The share of samples with the same top-1 as in float64, its interval, and the float32 model's own."""
    file, own = (format_share(count / record.samples) for count in (record.agreed, record.original_agreed))
    interval = join_shares(record.low, record.high)
    return say(
        "{share} of {count} ({interval}; float32's {own})",
        share=file,
        count=record.samples,
        interval=interval,
        own=own,
    )


def join_shares(low: float, high: float) -> str:
    """An interval of shares."""
    return say("{low} to {high}", low=format_share(low), high=format_share(high))


def describe_coverage(parity: ParityRecord) -> str:
    """How much parity proves, in a line: strong, weak, or unknown in a file of an older version."""
    coverage = parity.coverage
    if coverage is None:
        return say("not known: it was not examined what the samples show")
    strength = say(STRENGTHS[parity.strength])
    if not coverage.weights:
        return say("{strength}; the model has no weights", strength=strength)
    return say(
        "{strength}; {tried} of {weights} weights were changed a little, and {seen} of the "
        "changes moved an output",
        strength=strength,
        tried=coverage.tried,
        weights=coverage.weights,
        seen=coverage.tried - len(coverage.unseen),
    )


def tabulate_weakness(parity: ParityRecord) -> TextTable:
    """Why parity is weak; no rows where it is not."""
    reasons = () if parity.coverage is None else parity.coverage.reasons
    return TextTable(say_all("parity is weak, because"), [(retell(reason),) for reason in reasons])


def tabulate_integers(parity: ParityRecord) -> TextTable:
    """The whole numbers that were compared; no rows where no input holds them."""
    records = () if parity.coverage is None else parity.coverage.integers
    rows = [(record.input, str(record.least), str(record.most), str(record.different)) for record in records]
    return TextTable(say_all("whole numbers compared", "from", "to", "different ones"), rows)


def tabulate_fired(manifest: Manifest) -> TextTable:
    """The rules that fired."""
    return TextTable(
        say_all("rule", "times"), [(record.rule, str(record.times)) for record in manifest.fired]
    )


def tabulate_declined(manifest: Manifest) -> TextTable:
    """The rules that declined a layer."""
    rows = [(record.rule, record.layer, retell(record.reason)) for record in manifest.declined]
    return TextTable(say_all("rule", "layer", "reason"), rows)


def tabulate_dropped(manifest: Manifest) -> TextTable:
    """The rules that were left out because they broke the file."""
    rows = [(record.rule, retell(record.reason)) for record in manifest.dropped]
    return TextTable(say_all("rule", "reason"), rows)


def tabulate_tuning(record: TuningRecord) -> tuple[TextTable, TextTable, TextTable]:
    """The speeds, the chosen forms, and the trials."""
    speeds = [
        (
            str(speed.batch),
            f"{speed.untuned:g}",
            f"{speed.tuned:g}",
            f"{speed.ratio:.3f}",
            _format_interval(speed.low, speed.high),
        )
        for speed in record.speeds
    ]
    chosen = [(place.kind, place.layer, place.value, place.form) for place in record.chosen]
    return (
        TextTable(say_all("batch", "table's forms, µs", "chosen forms, µs", "ratio", "interval"), speeds),
        TextTable(say_all("kind", "layer", "value", "form"), chosen),
        TextTable(
            say_all(
                "kind",
                "places",
                "where",
                "form",
                "instead of",
                "ratio",
                "interval",
                "rounds",
                "decision",
            ),
            [_trial_row(trial) for trial in record.trials],
        ),
    )


def _trial_row(trial: TrialRecord) -> Row:
    return (
        *(trial.kind, str(trial.places), trial.where, trial.form, trial.instead_of),
        *(f"{trial.ratio:.3f}", _format_interval(trial.low, trial.high), str(trial.rounds)),
        say("taken") if trial.taken else NOTHING,
    )


def _format_interval(low: float, high: float) -> str:
    return say("{low} to {high}", low=f"{low:.3f}", high=f"{high:.3f}")


def describe_tuning(record: TuningRecord) -> str:
    """The target and the verdict of tuning, in a line."""
    return say(
        "{provider}, {threads}, batch {batches}, {processor}: {verdict} ({trials} trials in "
        "{seconds} s; noise {noise})",
        provider=record.provider,
        threads=say_count("{number} thread", "{number} threads", record.threads),
        batches=join_list(map(str, record.batches)),
        processor=record.processor,
        verdict=retell(record.verdict),
        trials=len(record.trials),
        seconds=f"{record.spent:.3g}",
        noise=f"{record.noise:.2%}",
    )
