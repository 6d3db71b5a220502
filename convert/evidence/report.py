"""The page about one ONNX file: what it is, how exact, what its activations learned, what was done to it."""

from collections.abc import Sequence

from adaptive_act.page import Part, Picture, Section, Table, Text, page
from convert.evidence.inspection import Inspected
from convert.evidence.pictures import curves_picture
from convert.evidence.tables import (
    ACTIVATIONS,
    DECLINED,
    DROPPED,
    FIRED,
    PARITY,
    SETS,
    TENSORS,
    activation_rows,
    declined_rows,
    dropped_rows,
    fired_rows,
    parity_rows,
    set_rows,
    tensor_rows,
)
from convert.manifest import ActivationRecord, Manifest, ParityRecord

_ON_A_PICTURE = 12
"""Layers on one picture of the page: as many as a printed sheet keeps legible."""


def report(file: Inspected, rechecked: ParityRecord | None = None) -> str:
    """The page as HTML; equal files give equal text.

    `rechecked` is a comparison made anew, which takes the place of the one that the file carries.
    """
    manifest = file.manifest
    sections = [Section("The file", [Table(("what", "value"), list(file.facts().items()))])]
    parity = rechecked or (manifest.parity if manifest else None)
    if parity is not None:
        sections.append(Section("Parity", _parity(parity, anew=rechecked is not None)))
    if manifest is None:
        sections.append(Section("Evidence", [Text("adaptact did not write this file: it carries none.")]))
    else:
        sections += _evidence(manifest)
    return page(f"The model in {file.name}", sections)


def _evidence(manifest: Manifest) -> list[Section]:
    sections = [Section("Inputs and outputs", _tensors(manifest))]
    if manifest.activations:
        sections.append(Section("Learned activations", _activations(manifest.activations)))
    return [*sections, Section("Rules", _rules(manifest)), Section("What it was made from", _made(manifest))]


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


def _made(manifest: Manifest) -> list[Part]:
    facts = {
        "SHA-256 of the model file": manifest.source_digest,
        "kind of file": manifest.source_kind or "checkpoint",
        "reference of parity": manifest.reference,
        "precision": manifest.precision,
        "opset": str(manifest.opset),
        "manifest": manifest.format,
    }
    return [Table(("what", "value"), list((facts | manifest.versions).items()))]
