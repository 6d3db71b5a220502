"""The manifest's fields as rows of text: for a console and for a page."""

from collections.abc import Iterable

import numpy as np

from adaptive_act.explain.words import share, span
from convert.manifest import ActivationRecord, AgreementRecord, Manifest, OutputRecord, SetRecord
from convert.tuning.fields import TrialRecord, TuningRecord

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
