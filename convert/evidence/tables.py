"""The manifest's records as rows of text, for a console and for a page."""

from collections.abc import Iterable

import numpy as np

from adaptive_act.explain.wording import share, span
from convert.manifest.fields import LossRecord, RoundingRecord, TrialRecord, TuningRecord
from convert.manifest.manifest import (
    ActivationRecord,
    AgreementRecord,
    Manifest,
    OutputRecord,
    SetRecord,
)

Row = tuple[str, ...]
NOTHING = "–"
PARITY: Row = (
    "output",
    "scale",
    "median error / scale",
    "99 %",
    "largest",
    "× float32's",
    "hardest samples",
    "error",
    "allowed",
    "top-1 agreement",
)
SETS: Row = (
    "samples",
    "number",
    "of the allowance used",
    "overflowed",
    "NaN and Inf kept",
    "NaN and Inf gained",
)
ACTIVATIONS: Row = ("layer", "kind", "replaced", "learned values", "started at", "inputs below 0")
FIRED: Row = ("rule", "times")
DECLINED: Row = ("rule", "layer", "why it left it alone")
DROPPED: Row = ("rule", "why it was not used")
SPEEDS: Row = ("batch", "table's forms, µs", "chosen forms, µs", "ratio", "noise leaves open")
CHOSEN: Row = ("kind", "layer", "value", "form")
TRIALS: Row = ("kind", "places", "where", "form", "instead of", "ratio", "noise leaves open", "rounds", "")
TENSORS: Row = ("", "name", "type", "shape")


def parity_rows(outputs: Iterable[OutputRecord]) -> list[Row]:
    """The cells under PARITY: typical samples, then the set in which the file is closest to its allowance."""
    return [_output_row(output) for output in outputs]


def set_rows(sets: Iterable[SetRecord]) -> list[Row]:
    """The cells under SETS."""
    return [
        (
            one.name,
            str(one.samples),
            share(max(one.used.values())) if one.used else NOTHING,
            str(one.overflowed) if one.overflowed else NOTHING,
            f"{one.non_finite - one.non_finite_lost} of {one.non_finite}" if one.non_finite else NOTHING,
            str(one.non_finite_gained) if one.non_finite_gained else NOTHING,
        )
        for one in sets
    ]


def activation_rows(activations: Iterable[ActivationRecord]) -> list[Row]:
    """The cells under ACTIVATIONS; ranges are over the channels."""
    return [
        (
            one.layer,
            one.kind,
            one.replaced or NOTHING,
            _values(one.values),
            _values(one.start.values) if one.start else NOTHING,
            share(one.reach.below_zero) if one.reach else NOTHING,
        )
        for one in activations
    ]


def fired_rows(manifest: Manifest) -> list[Row]:
    """The cells under FIRED."""
    return [(record.rule, str(record.times)) for record in manifest.fired]


def declined_rows(manifest: Manifest) -> list[Row]:
    """The cells under DECLINED."""
    return [(record.rule, record.layer, record.reason) for record in manifest.declined]


def dropped_rows(manifest: Manifest) -> list[Row]:
    """The cells under DROPPED."""
    return [(record.rule, record.reason) for record in manifest.dropped]


def tuned(record: TuningRecord) -> str:
    """What was tuned for and decided, in a line."""
    batches = ", ".join(map(str, record.batches))
    threads = "1 thread" if record.threads == 1 else f"{record.threads} threads"
    return (
        f"{record.provider}, {threads}, batch {batches}, {record.processor}: {record.verdict} "
        f"({len(record.trials)} trials in {record.spent:.3g} s; noise {record.noise:.2%})"
    )


def speed_rows(record: TuningRecord) -> list[Row]:
    """The cells under SPEEDS."""
    return [
        (str(one.batch), f"{one.untuned:g}", f"{one.tuned:g}", f"{one.ratio:.3f}", _open(one.low, one.high))
        for one in record.speeds
    ]


def chosen_rows(record: TuningRecord) -> list[Row]:
    """The cells under CHOSEN."""
    return [(one.kind, one.layer, one.value, one.form) for one in record.chosen]


def trial_rows(record: TuningRecord) -> list[Row]:
    """The cells under TRIALS."""
    return [_trial_row(one) for one in record.trials]


def _trial_row(one: TrialRecord) -> Row:
    what = (one.kind, str(one.places), one.where, one.form, one.instead_of)
    taken = "taken" if one.taken else NOTHING
    return (*what, f"{one.ratio:.3f}", _open(one.low, one.high), str(one.rounds), taken)


def _open(low: float, high: float) -> str:
    return f"{low:.3f} to {high:.3f}"


def tensor_rows(manifest: Manifest) -> list[Row]:
    """The cells under TENSORS."""
    kinds = (("input", manifest.inputs), ("output", manifest.outputs))
    return [
        (kind, one.name, one.dtype, f"[{', '.join(map(str, one.shape))}]")
        for kind, tensors in kinds
        for one in tensors
    ]


def agreement(found: AgreementRecord) -> str:
    """The share of samples with the same top-1 as in float64, its interval, and the float32 model's own."""
    file, own = (share(count / found.samples) for count in (found.agreed, found.original_agreed))
    return f"{file} of {found.samples} ({share(found.low)} to {share(found.high)}; float32's {own})"


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
        agreement(output.top1) if output.top1 else NOTHING,
    )


def _values(values: dict[str, tuple[float, ...]]) -> str:
    return ", ".join(f"{name} = {span(np.array(numbers))}" for name, numbers in values.items()) or NOTHING


LOSSES: Row = ("output", "scale", "largest error / scale", "allowed", "typical", "agreement", "at least")
KEPT: Row = ("kept in float", "kind", "why")


def loss_rows(record: RoundingRecord) -> list[Row]:
    """The cells under LOSSES."""
    return [
        (
            one.output,
            f"{one.scale:g}",
            f"{one.largest:.2%}",
            f"{record.max_error:.2%}",
            f"{one.typical:.3%}",
            _agreement(one),
            f"{record.min_agreement:.2%}" if one.agreed is not None and record.min_agreement else NOTHING,
        )
        for one in record.losses
    ]


def kept_rows(record: RoundingRecord) -> list[Row]:
    """The cells under KEPT."""
    return [(one.layer, one.kind, one.reason) for one in record.kept]


def rounding_words(precision: str, record: RoundingRecord) -> str:
    """How it was rounded and judged, and what it means for accuracy, in a line or two."""
    said = f"{precision}, {_METHODS.get(record.method, record.method)}; judged on {record.samples} "
    said += _JUDGED.get(record.judged_on, record.judged_on)
    if record.calibration_samples is not None:
        said += f", calibrated on {record.calibration_samples}"
    if record.accuracy is not None:
        found = record.accuracy
        said += (
            f"; right on {found.file} of {found.samples}, the original on {found.original}, "
            f"a drop of {(found.original - found.file) / found.samples:.2%}, "
            f"allowed {record.max_accuracy_drop:.2%}"
        )
    return f"{said}; {len(record.kept)} layers kept in float"


def kept_within(record: RoundingRecord) -> bool:
    """Whether all that was lost is within what is allowed."""
    found = record.accuracy
    drop = 0.0 if found is None else (found.original - found.file) / found.samples
    return drop <= record.max_accuracy_drop and all(
        one.largest <= record.max_error
        and (one.agreed is None or not one.compared or one.agreed / one.compared >= record.min_agreement)
        for one in record.losses
    )


_METHODS = {
    "dynamic": "dynamic: no calibration data, so convolutions have 8-bit weights and compute in float",
    "static": "static: 8 bits in and out of each layer, one scale a channel",
    "fp16": "16-bit floats inside, 32-bit inputs and outputs",
}
_JUDGED = {
    "given": "samples of your own",
    "calibration": "of the calibration data",
    "generated": "generated samples, which say little of yours",
}


def _agreement(one: LossRecord) -> str:
    if one.agreed is None or not one.compared:
        return NOTHING
    return f"{share(one.agreed / one.compared)} of {one.compared} ({share(one.low)} to {share(one.high)})"
