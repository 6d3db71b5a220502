"""The report of one ONNX file as a page: what it is, how exact, what its activations learned."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from adaptive_act.explain.curves import Drawn, Reached, drawn
from adaptive_act.page import Part, Picture, Section, Table, Text, page
from convert.evidence.inspection import Inspected
from convert.evidence.tables import (
    ACTIVATIONS,
    CHOSEN,
    DECLINED,
    DROPPED,
    FIRED,
    KEPT,
    LOSSES,
    PARITY,
    SETS,
    SPEEDS,
    TENSORS,
    TRIALS,
    activation_rows,
    chosen_rows,
    declined_rows,
    dropped_rows,
    fired_rows,
    kept_rows,
    kept_within,
    loss_rows,
    parity_rows,
    rounding_words,
    set_rows,
    speed_rows,
    tensor_rows,
    trial_rows,
    tuned,
)
from convert.manifest.fields import RoundingRecord, TuningRecord
from convert.manifest.manifest import ActivationRecord, Manifest, ParityRecord, ReachRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def curves_picture(activations: Sequence[ActivationRecord]) -> "Figure":
    """One panel a layer: its learned curve over its start, and below it the histogram of what reached it."""
    return drawn([_drawn(one) for one in activations])


def _drawn(one: ActivationRecord) -> Drawn:
    return Drawn(
        name=one.layer,
        kind=one.kind,
        values={name: np.array(numbers) for name, numbers in one.values.items()},
        points=np.array(one.curve.points),
        learned=np.array(one.curve.values),
        start=None if one.start is None else np.array(one.start.curve),
        reached=None if one.reach is None else _reached(one.reach),
    )


def _reached(reach: ReachRecord) -> Reached:
    edges = np.linspace(reach.low, reach.high, len(reach.shares) + 1)
    return Reached(edges, np.array(reach.shares), reach.below_zero)


_ON_A_PICTURE = 12
"""Layers on one picture of the page: as many as a printed sheet keeps legible."""


def report(
    file: Inspected, rechecked: ParityRecord | None = None, rejudged: RoundingRecord | None = None
) -> str:
    """The page as HTML; equal files give equal text.

    `rechecked` is a comparison made anew, which takes the place of the one that the file carries; `rejudged`
    is that of a file of fewer bits.
    """
    manifest = file.manifest
    sections = [Section("The file", [Table(("what", "value"), list(file.facts().items()))])]
    parity = rechecked or (manifest.parity if manifest else None)
    if parity is not None:
        sections.append(Section("Parity", _parity(parity, anew=rechecked is not None)))
    if manifest is None:
        sections.append(Section("Evidence", [Text("adaptact did not write this file: it carries none.")]))
    else:
        sections += _evidence(manifest if rejudged is None else replace(manifest, rounding=rejudged))
    return page(f"The model in {file.name}", sections)


def _evidence(manifest: Manifest) -> list[Section]:
    sections = [Section("Inputs and outputs", _tensors(manifest))]
    if manifest.activations:
        sections.append(Section("Learned activations", _activations(manifest.activations)))
    if manifest.rounding is not None:
        sections.append(Section("Precision", _rounding(manifest.precision, manifest.rounding)))
    sections.append(Section("Rules", _rules(manifest)))
    if manifest.tuning is not None:
        sections.append(Section("Tuning", _tuning(manifest.tuning)))
    return [*sections, Section("What it was made from", _made(manifest))]


def passed(parity: ParityRecord) -> bool:
    """Whether every output stands within what is allowed. An error that is no number does not."""
    return all(output.file_error <= output.allowed for output in parity.outputs)


def _parity(parity: ParityRecord, anew: bool) -> list[Part]:
    when = "Compared anew" if anew else "When the file was written"
    verdict = "passed" if passed(parity) else "FAILED"
    return [
        Text(f"{when}, parity {verdict} in {len(parity.sets)} sets of samples: {parity.criterion}."),
        Table(PARITY, parity_rows(parity.outputs)),
        Table(SETS, set_rows(parity.sets)),
        Text(
            "The reference is the model that was converted, run in float64. Errors over the scale are those "
            "on typical samples; “× float32's” is the file's error over that of the model itself in float32, "
            "root mean square. The hardest samples are those in which the file takes the largest share of "
            "what is allowed. Top-1 agreement: samples whose largest score stands where it does in float64, "
            "with Wilson's 95 % interval. NaN and Inf in the inputs are tried and reported, not judged."
        ),
    ]


def _tensors(manifest: Manifest) -> list[Part]:
    parts: list[Part] = [Table(TENSORS, tensor_rows(manifest))]
    if manifest.classes:
        parts.append(Text(f"{len(manifest.classes)} classes: {', '.join(manifest.classes)}."))
    if manifest.preprocessing:
        parts.append(Table(("preprocessing", "value"), list(manifest.preprocessing.items())))
    return parts


def _activations(activations: Sequence[ActivationRecord]) -> list[Part]:
    parts: list[Part] = [
        Table(ACTIVATIONS, activation_rows(activations)),
        Table(("layer", "in words"), [(one.layer, one.words or one.formula) for one in activations]),
    ]
    for start in range(0, len(activations), _ON_A_PICTURE):
        shown = activations[start : start + _ON_A_PICTURE]
        names = " to ".join(dict.fromkeys((shown[0].layer, shown[-1].layer)))
        caption = f"Learned curve over its start, and what reached it when the file was written: {names}."
        parts.append(Picture(curves_picture(shown), caption))
    return parts


def _rules(manifest: Manifest) -> list[Part]:
    parts: list[Part] = [
        Table(FIRED, fired_rows(manifest)) if manifest.fired else Text("No rule fired."),
    ]
    if manifest.dropped:
        parts.append(Table(DROPPED, dropped_rows(manifest)))
    if manifest.declined:
        parts.append(Table(DECLINED, declined_rows(manifest)))
    return parts


def _rounding(precision: str, record: RoundingRecord) -> list[Part]:
    parts: list[Part] = [
        Text(f"{'Passed' if kept_within(record) else 'FAILED'}: {rounding_words(precision, record)}."),
        Table(LOSSES, loss_rows(record)),
    ]
    if record.kept:
        parts.append(Table(KEPT, kept_rows(record)))
    parts.append(
        Text(
            "Errors are of this file against the model in float64, as shares of the output's scale; parity "
            "is that of the graph in float32 before it was rounded. Agreement has Wilson's 95 % interval."
        )
    )
    return parts


def _tuning(record: TuningRecord) -> list[Part]:
    tables = (
        (SPEEDS, speed_rows(record)),
        (CHOSEN, chosen_rows(record)),
        (TRIALS, trial_rows(record)),
    )
    parts: list[Part] = [Text(f"Measured on {tuned(record)}.")]
    parts += [Table(header, rows) for header, rows in tables if rows]
    parts.append(
        Text(
            "A ratio is the time of the whole model with the form over that without it; below 1 is faster. "
            "A form is taken if all that the noise leaves open is below 1, and no batch is slower. "
            "The noise is how far the untuned graph, loaded twice, differs from itself."
        )
    )
    return parts


def _made(manifest: Manifest) -> list[Part]:
    facts = {
        "SHA-256 of the model file": manifest.source_digest,
        "kind of file": manifest.source_kind or "checkpoint",
        "reference of parity": manifest.reference,
        "precision": manifest.precision,
        "provider": manifest.provider,
        "opset": str(manifest.opset),
        "manifest": manifest.format,
    }
    return [Table(("what", "value"), list((facts | manifest.versions).items()))]
