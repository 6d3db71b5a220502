"""A finished file of fewer bits compared with its model again, by the gate of its precision."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.errors import UsageError
from convert.manifest.manifest import Manifest
from convert.manifest.records import RoundingRecord
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.budgets import STRICT, BudgetOptions, Budgets, Precision, resolve_budgets
from convert.precision.gate import Gate, count_samples
from convert.precision.quantise import PrecisionOptions, RoundingTask, are_scores_judged, require_agreement
from convert.precision.record import record_accuracy, record_losses


@dataclass(frozen=True, slots=True)
class GateResult:
    """The file's losses and the budgets that judge them, whether the file passes or not."""

    precision: Precision
    record: RoundingRecord
    failure: str | None
    """The failure in one line; None where all budgets are kept."""
    advice: str | None
    """The losses and budgets when the file was written; None where it passes."""


def read_precision(manifest: Manifest | None) -> Precision | None:
    """The precision of a file that is judged by a gate of its own; None where parity judges it."""
    if manifest is None or manifest.rounding is None:
        return None
    return next((precision for precision in STRICT if precision == manifest.precision), None)


def read_task(
    precision: Precision,
    samples: Path | None,
    budgets: BudgetOptions,
    inputs: Sequence[InputSpec],
    own_sets: Sequence[SampleSet],
) -> RoundingTask:
    """The user's budgets and labels for the gate. Raises UsageError where they contradict each other."""
    options = PrecisionOptions(precision, None, samples, budgets)
    options.require_consistent()
    return options.read(inputs, own_sets)


def recheck_gate(
    original: Original,
    session: Session,
    sets: Sequence[SampleSet],
    written: RoundingRecord,
    task: RoundingTask,
) -> GateResult:
    """The file in the session, judged on the user's own samples, or else on the typical generated ones.

    The budgets that the file states are no reason to trust it: the strict ones hold unless the user names
    others. Raises UsageError where the file's ranges came from calibration data and the user gives no
    samples.
    """
    own_sets = [samples for samples in sets if samples.given]
    if written.method == "static" and not own_sets:
        raise UsageError(
            "the file rounds to ranges that calibration data had, and generated samples leave them",
            hint="give data like those it meets: --samples data.npz",
        )
    judged_sets = own_sets or [samples for samples in sets if samples.typical]
    judged_on = "given" if own_sets else "generated"
    budgets = resolve_budgets(task.precision, task.budgets)
    scores = are_scores_judged(judged_on, task.budgets)
    report = Gate(original, judged_sets, task.labels, scores=scores).measure(session)
    require_agreement(report, task.budgets)
    record = replace(
        written,
        judged_on=judged_on,
        samples=count_samples(judged_sets),
        max_error=budgets.max_error,
        min_agreement=budgets.min_agreement,
        max_accuracy_drop=budgets.max_accuracy_drop,
        losses=record_losses(report),
        accuracy=record_accuracy(report),
    )
    lines = report.list_overspent(budgets)
    if not lines:
        return GateResult(task.precision, record, None, None)
    failure = f"{task.precision} fails its gate: {'; '.join(lines)}"
    return GateResult(task.precision, record, failure, _describe_losses(written, STRICT[task.precision]))


def _describe_losses(record: RoundingRecord, strict: Budgets) -> str:
    """The file's losses when it was written, and the budgets that were not the strict ones."""
    budgets = {
        "--max-error": (record.max_error, strict.max_error),
        "--min-agreement": (record.min_agreement, strict.min_agreement),
        "--max-accuracy-drop": (record.max_accuracy_drop, strict.max_accuracy_drop),
    }
    options = [f"{option} {own:g}" for option, (own, usual) in budgets.items() if own != usual]
    lost = ", ".join(f"{loss.largest:.2%} of `{loss.output}`" for loss in record.losses[:5])
    text = f"when it was written it lost {lost}, on {record.samples} {record.judged_on} samples"
    return f"{text}, and was allowed {' '.join(options)}" if options else text
