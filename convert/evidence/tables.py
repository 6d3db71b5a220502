"""Tables of the manifest's records as text, for a console and for a page."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adaptive_act.explain.wording import format_range, format_share
from convert.manifest.manifest import (
    ActivationRecord,
    AgreementRecord,
    Manifest,
    OutputRecord,
    ParityRecord,
    SetRecord,
)
from convert.manifest.records import LossRecord, RoundingRecord, TrialRecord, TuningRecord

Row = tuple[str, ...]
NOTHING = "–"
_METHODS = {
    "dynamic": "dynamic: no calibration data, so convolutions have 8-bit weights and compute in float",
    "static": "static: 8 bits in and out of each layer, one scale per channel",
    "fp16": "16-bit floats inside, 32-bit inputs and outputs",
}
_JUDGED_ON = {
    "given": "samples of your own",
    "calibration": "samples of the calibration data",
    "generated": "generated samples, which may differ from yours",
}


class TextTable(NamedTuple):
    """Rows of cells under a header."""

    header: Row
    rows: Sequence[Row]


def tabulate_tensors(manifest: Manifest) -> TextTable:
    """The inputs and outputs, with the bounds of their sizes."""
    kinds = (("input", manifest.inputs), ("output", manifest.outputs))
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
    return TextTable(("", "name", "type", "shape"), rows)


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
    header = ("layer", "kind", "replaced", "learned values", "started at", "inputs below 0")
    return TextTable(header, rows)


def _format_values(values: dict[str, tuple[float, ...]]) -> str:
    ranges = (f"{name} = {format_range(np.array(numbers))}" for name, numbers in values.items())
    return ", ".join(ranges) or NOTHING


def tabulate_parity(outputs: Iterable[OutputRecord]) -> TextTable:
    """The errors of each output on typical samples, then in the set where it is closest to its allowance."""
    header = (
        *("output", "scale", "median error / scale", "99 %", "largest", "× float32's"),
        *("hardest samples", "error", "allowed", "top-1 agreement"),
    )
    return TextTable(header, [_output_row(output) for output in outputs])


def _output_row(output: OutputRecord) -> Row:
    over_scale = output.over_scale()
    return (
        output.name,
        f"{output.typical_scale or output.scale:g}",
        *(f"{over_scale[part]:.2g}" if part in over_scale else NOTHING for part in ("0.5", "0.99", "1")),
        NOTHING if output.ratio is None else f"{output.ratio:.2g}",
        output.worst_set,
        f"{output.file_error:g}",
        f"{output.allowed:g}" + (f", tolerance {output.tolerance:g}" if output.tolerance else ""),
        format_agreement(output.top1) if output.top1 else NOTHING,
    )


def format_agreement(record: AgreementRecord) -> str:
    """The share of samples with the same top-1 as in float64, its interval, and the float32 model's own."""
    file, own = (format_share(count / record.samples) for count in (record.agreed, record.original_agreed))
    interval = f"{format_share(record.low)} to {format_share(record.high)}"
    return f"{file} of {record.samples} ({interval}; float32's {own})"


def tabulate_sets(sets: Iterable[SetRecord]) -> TextTable:
    """The sets of samples, and the largest share of the allowance that an output uses in each."""
    header = (
        *("samples", "number", "share of allowance used", "overflowed"),
        *("NaN and Inf kept", "NaN and Inf gained"),
    )
    return TextTable(header, [_set_row(record) for record in sets])


def _set_row(record: SetRecord) -> Row:
    kept = record.non_finite - record.non_finite_lost
    return (
        record.name,
        str(record.samples),
        format_share(max(record.used.values())) if record.used else NOTHING,
        str(record.overflowed) if record.overflowed else NOTHING,
        f"{kept} of {record.non_finite}" if record.non_finite else NOTHING,
        str(record.non_finite_gained) if record.non_finite_gained else NOTHING,
    )


def describe_coverage(parity: ParityRecord) -> str:
    """How much parity proves, in a line: strong, weak, or unknown in a file of an older version."""
    coverage = parity.coverage
    if coverage is None:
        return "not known: it was not examined what the samples show"
    if not coverage.weights:
        return f"{parity.strength}; the model has no weights"
    seen = coverage.tried - len(coverage.unseen)
    tried = f"{coverage.tried} of {coverage.weights} weights were changed a little"
    return f"{parity.strength}; {tried}, and {seen} of the changes moved an output"


def tabulate_weakness(parity: ParityRecord) -> TextTable:
    """Why parity is weak; no rows where it is not."""
    reasons = () if parity.coverage is None else parity.coverage.reasons
    return TextTable(("parity is weak, because",), [(reason,) for reason in reasons])


def tabulate_integers(parity: ParityRecord) -> TextTable:
    """The whole numbers that were compared; no rows where no input holds them."""
    records = () if parity.coverage is None else parity.coverage.integers
    rows = [(record.input, str(record.least), str(record.most), str(record.different)) for record in records]
    return TextTable(("whole numbers compared", "from", "to", "different ones"), rows)


def tabulate_fired(manifest: Manifest) -> TextTable:
    """The rules that fired."""
    return TextTable(("rule", "times"), [(record.rule, str(record.times)) for record in manifest.fired])


def tabulate_declined(manifest: Manifest) -> TextTable:
    """The rules that declined a layer."""
    rows = [(record.rule, record.layer, record.reason) for record in manifest.declined]
    return TextTable(("rule", "layer", "reason"), rows)


def tabulate_dropped(manifest: Manifest) -> TextTable:
    """The rules that were left out because they broke the file."""
    rows = [(record.rule, record.reason) for record in manifest.dropped]
    return TextTable(("rule", "reason"), rows)


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
        TextTable(("batch", "table's forms, µs", "chosen forms, µs", "ratio", "interval"), speeds),
        TextTable(("kind", "layer", "value", "form"), chosen),
        TextTable(
            ("kind", "places", "where", "form", "instead of", "ratio", "interval", "rounds", ""),
            [_trial_row(trial) for trial in record.trials],
        ),
    )


def _trial_row(trial: TrialRecord) -> Row:
    return (
        *(trial.kind, str(trial.places), trial.where, trial.form, trial.instead_of),
        *(f"{trial.ratio:.3f}", _format_interval(trial.low, trial.high), str(trial.rounds)),
        "taken" if trial.taken else NOTHING,
    )


def _format_interval(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def describe_tuning(record: TuningRecord) -> str:
    """The target and the verdict of tuning, in a line."""
    batches = ", ".join(map(str, record.batches))
    threads = "1 thread" if record.threads == 1 else f"{record.threads} threads"
    return (
        f"{record.provider}, {threads}, batch {batches}, {record.processor}: {record.verdict} "
        f"({len(record.trials)} trials in {record.spent:.3g} s; noise {record.noise:.2%})"
    )


def tabulate_losses(record: RoundingRecord) -> TextTable:
    """The losses of each output in fewer bits, and what the budgets allow."""
    header = (
        *("output", "scale", "largest error / scale", "allowed", "typical"),
        *("agreement", "at least"),
    )
    rows = [
        (
            loss.output,
            f"{loss.scale:g}",
            f"{loss.largest:.2%}",
            f"{record.max_error:.2%}",
            f"{loss.typical:.3%}",
            _format_loss_agreement(loss),
            f"{record.min_agreement:.2%}" if loss.agreed is not None and record.min_agreement else NOTHING,
        )
        for loss in record.losses
    ]
    return TextTable(header, rows)


def _format_loss_agreement(loss: LossRecord) -> str:
    if loss.agreed is None or not loss.compared:
        return NOTHING
    interval = f"{format_share(loss.low)} to {format_share(loss.high)}"
    return f"{format_share(loss.agreed / loss.compared)} of {loss.compared} ({interval})"


def tabulate_kept(record: RoundingRecord) -> TextTable:
    """The layers that stay in float."""
    rows = [(layer.layer, layer.kind, layer.reason) for layer in record.kept]
    return TextTable(("kept in float", "kind", "why"), rows)


def describe_rounding(precision: str, record: RoundingRecord) -> str:
    """How the file was rounded and judged, and what it means for accuracy, in a line or two."""
    text = f"{precision}, {_METHODS.get(record.method, record.method)}; judged on {record.samples} "
    text += _JUDGED_ON.get(record.judged_on, record.judged_on)
    if record.calibration_samples is not None:
        text += f", calibrated on {record.calibration_samples}"
    if record.accuracy is not None:
        right = record.accuracy
        text += (
            f"; right on {right.file} of {right.samples}, the original on {right.original}, "
            f"a drop of {_accuracy_drop(record):.2%}, allowed {record.max_accuracy_drop:.2%}"
        )
    return f"{text}; {len(record.kept)} layers kept in float"


def is_within_budgets(record: RoundingRecord) -> bool:
    """Whether every loss is within its budget."""
    return _accuracy_drop(record) <= record.max_accuracy_drop and all(
        loss.largest <= record.max_error
        and (loss.agreed is None or not loss.compared or loss.agreed / loss.compared >= record.min_agreement)
        for loss in record.losses
    )


def _accuracy_drop(record: RoundingRecord) -> float:
    right = record.accuracy
    return 0.0 if right is None else (right.original - right.file) / right.samples
