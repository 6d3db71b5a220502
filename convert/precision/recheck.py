"""A finished file of fewer bits against its model once more, by the gate of its precision."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.errors import UsageError
from convert.manifest.fields import RoundingRecord
from convert.manifest.manifest import Manifest
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.budgets import STRICT, Asked, Budgets, Precision, budgets
from convert.precision.gate import Judge, count
from convert.precision.quantise import Request, Wanted, require_agreement, scores_judged
from convert.precision.record import accuracy, losses


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What the file loses, by which budgets, whether it keeps them or not."""

    precision: Precision
    record: RoundingRecord
    failure: str | None
    """What failed, in one line; None where all budgets are kept."""
    advice: str | None
    """What the file was written with, where it fails."""


def rounded_to(manifest: Manifest | None) -> Precision | None:
    """The precision of a file that is judged by a gate of its own; None where parity judges it."""
    if manifest is None or manifest.rounding is None:
        return None
    return next((one for one in STRICT if one == manifest.precision), None)


def asked_of(
    precision: Precision,
    samples: Path | None,
    asked: Asked,
    inputs: Sequence[InputSpec],
    given: Sequence[SampleSet],
) -> Wanted:
    """What the user says of the gate; raises UsageError where it cannot be meant."""
    request = Request(precision, None, samples, asked)
    request.require_meant()
    return request.read(inputs, given)


def rejudged(
    original: Original, session: Session, sets: Sequence[SampleSet], written: RoundingRecord, wanted: Wanted
) -> Rejudged:
    """The file in the session, judged on the user's own samples, or on those that were generated.

    What the file says of its budgets is no reason to trust it: the strict ones hold where the user names no
    other. Raises UsageError where a file whose ranges came from data is to be judged without any.
    """
    precision, asked = wanted.precision, wanted.budgets
    given = [one for one in sets if one.given]
    if written.method == "static" and not given:
        raise UsageError(
            "the file rounds to ranges that calibration data had, and generated samples leave them",
            hint="give data like those it meets: --samples data.npz",
        )
    chosen = given or [one for one in sets if one.typical]
    judged_on = "given" if given else "generated"
    allowed = budgets(precision, asked)
    scores = scores_judged(judged_on, asked)
    judged = Judge(original, chosen, wanted.labels, scores=scores).judge(session)
    require_agreement(judged, asked)
    record = replace(
        written,
        judged_on=judged_on,
        samples=count(chosen),
        max_error=allowed.max_error,
        min_agreement=allowed.min_agreement,
        max_accuracy_drop=allowed.max_accuracy_drop,
        losses=losses(judged),
        accuracy=accuracy(judged),
    )
    lines = judged.overspent(allowed)
    failure = f"{precision} fails its gate: {'; '.join(lines)}" if lines else None
    return Rejudged(precision, record, failure, _written_with(written, STRICT[precision]) if lines else None)


def _written_with(record: RoundingRecord, strict: Budgets) -> str:
    options = {
        "--max-error": (record.max_error, strict.max_error),
        "--min-agreement": (record.min_agreement, strict.min_agreement),
        "--max-accuracy-drop": (record.max_accuracy_drop, strict.max_accuracy_drop),
    }
    named = [f"{option} {own:g}" for option, (own, usual) in options.items() if own != usual]
    lost = ", ".join(f"{one.largest:.2%} of `{one.output}`" for one in record.losses[:5])
    said = f"when it was written it lost {lost}, on {record.samples} {record.judged_on} samples"
    return f"{said}, and was allowed {' '.join(named)}" if named else said
