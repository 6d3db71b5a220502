"""What fewer bits cost, as rows of text: for a console and for a page."""

from adaptive_act.explain.words import share
from convert.evidence.tables import NOTHING, Row
from convert.precision.fields import LossRecord, RoundingRecord

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
