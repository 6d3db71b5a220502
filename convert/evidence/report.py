"""The report of an ONNX file as a page: facts, parity, and the curves of its activations."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from adaptact.languages.catalogue import mark
from adaptact.languages.joining import join_list
from adaptact.languages.recorded import retell
from adaptact.languages.spoken import say, say_all
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Picture, Section, Table, Text, Tone, Verdict
from adaptact.text import escape_line
from adaptive_act.explain.curves import CurvePlot, InputHistogram, plot_curves
from convert.evidence import front_tables, provider_tables, rounding_tables, set_tables, tables
from convert.evidence.inspection import OnnxFile
from convert.manifest.manifest import ActivationRecord, Manifest, ParityRecord, ReachRecord
from convert.manifest.providers import ProviderChoiceRecord
from convert.manifest.records import RoundingRecord, TuningRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure


VERDICTS = {
    (False, True): mark("When the file was written, parity passed in {sets} sets of samples: {criterion}."),
    (False, False): mark("When the file was written, parity FAILED in {sets} sets of samples: {criterion}."),
    (True, True): mark("Compared anew, parity passed in {sets} sets of samples: {criterion}."),
    (True, False): mark("Compared anew, parity FAILED in {sets} sets of samples: {criterion}."),
}
"""What is said of parity: whether it was compared anew, and whether it passed."""
_ON_A_PICTURE = 12
"""Layers on one picture of the page: as many as a printed sheet keeps legible."""


def render_report(
    file: OnnxFile, new_parity: ParityRecord | None = None, new_rounding: RoundingRecord | None = None
) -> str:
    """The page as HTML; equal files give equal text.

    `new_parity` is a new comparison and replaces the one in the manifest; `new_rounding` does so for a file
    in fp16 or int8.
    """
    sections = list_sections(file, new_parity, new_rounding)
    lead = judge_evidence(new_parity or (file.manifest.parity if file.manifest else None))
    return render_html(say("The model in {name}", name=file.name), sections, lead=[lead])


def judge_evidence(parity: ParityRecord | None) -> Verdict:
    """What the page begins with: whether parity passed, and how much that proves."""
    if parity is None:
        return Verdict(
            "caution", say("No evidence"), say("Nothing says that this file computes what its model does.")
        )
    if not has_passed(parity):
        sentence = say("The file does not compute what its model does, within what parity allows.")
        return Verdict("bad", say("Parity FAILED"), sentence)
    tone: Tone = "good" if parity.strength == "strong" else "caution"
    proved = say("What parity proves: {coverage}.", coverage=tables.describe_coverage(parity))
    return Verdict(tone, say("Parity passed"), proved)


def list_sections(
    file: OnnxFile, new_parity: ParityRecord | None = None, new_rounding: RoundingRecord | None = None
) -> list[Section]:
    """The sections of the page; the arguments are those of `render_report`."""
    manifest = file.manifest
    sections = [Section(say("The file"), [Table(say_all("what", "value"), list(file.list_facts().items()))])]
    parity = new_parity or (manifest.parity if manifest else None)
    if parity is not None:
        sections.append(Section(say("Parity"), _parity_parts(parity, anew=new_parity is not None)))
    if manifest is None:
        sections.append(
            Section(
                say("Evidence"), [Text(say("adaptact did not write this file: it contains no evidence."))]
            )
        )
    else:
        sections += _evidence_sections(
            manifest if new_rounding is None else replace(manifest, rounding=new_rounding)
        )
    return sections


def _evidence_sections(manifest: Manifest) -> list[Section]:
    sections = [Section(say("Inputs and outputs"), _tensor_parts(manifest))]
    if manifest.activations:
        sections.append(Section(say("Learned activations"), _activation_parts(manifest.activations)))
    if manifest.rounding is not None:
        sections.append(Section(say("Precision"), _rounding_parts(manifest.precision, manifest.rounding)))
    sections.append(Section(say("Rules"), _rule_parts(manifest)))
    if manifest.choice is not None:
        sections.append(Section(say("Provider"), _choice_parts(manifest.choice)))
    if manifest.tuning is not None:
        sections.append(Section(say("Tuning"), _tuning_parts(manifest.tuning)))
    return [*sections, Section(say("Source"), _source_parts(manifest))]


def has_passed(parity: ParityRecord) -> bool:
    """Whether every output is within its allowance; an error of NaN is not."""
    return all(output.file_error <= output.allowed for output in parity.outputs)


def _parity_parts(parity: ParityRecord, anew: bool) -> list[Part]:
    return [
        Text(
            say(
                VERDICTS[anew, has_passed(parity)],
                sets=len(parity.sets),
                criterion=retell(parity.criterion),
            )
        ),
        Table(*tables.tabulate_parity(parity.outputs)),
        Table(*set_tables.tabulate_sets(parity.sets)),
        Text(say("What parity proves: {coverage}.", coverage=tables.describe_coverage(parity))),
        *(Table(*part) for part in _list_coverage(parity) if part.rows),
        Text(
            say(
                "The reference is the original model, run in float64. Errors over the scale are "
                "those on typical "
                "samples; “× float32's” is the file's error divided by that of the original model in "
                "float32, "
                "root mean square. The hardest samples are those in which the file uses the largest "
                "share of the "
                "allowed error. Top-1 agreement: samples whose largest score has the same index as "
                "in float64, "
                "with Wilson's 95 % interval. NaN and Inf in the inputs are tried and reported, but "
                "not judged."
            )
        ),
    ]


def _list_coverage(parity: ParityRecord) -> tuple[tables.TextTable, ...]:
    return tables.tabulate_weakness(parity), tables.tabulate_integers(parity)


def _tensor_parts(manifest: Manifest) -> list[Part]:
    parts: list[Part] = [Table(*tables.tabulate_tensors(manifest))]
    if manifest.classes:
        parts.append(
            Text(
                say(
                    "{count} classes: {names}.",
                    count=len(manifest.classes),
                    names=join_list(manifest.classes),
                )
            )
        )
    if manifest.preprocessing:
        parts.append(Table(say_all("preprocessing", "value"), list(manifest.preprocessing.items())))
    return parts


def _activation_parts(activations: Sequence[ActivationRecord]) -> list[Part]:
    parts: list[Part] = [
        Table(*tables.tabulate_activations(activations)),
        Table(
            say_all("layer", "in words"),
            [(record.layer, retell(record.words) or record.formula) for record in activations],
        ),
    ]
    for start in range(0, len(activations), _ON_A_PICTURE):
        shown = activations[start : start + _ON_A_PICTURE]
        first, last = shown[0].layer, shown[-1].layer
        names = first if first == last else say("{low} to {high}", low=first, high=last)
        caption = say(
            "Learned curve over its start, and what reached it when the file was written: {names}.",
            names=names,
        )
        parts.append(Picture(partial(draw_curves, shown), caption))
    return parts


def draw_curves(activations: Sequence[ActivationRecord]) -> "Figure":
    """One panel per layer: its learned curve over its start, and below it the histogram of its inputs."""
    return plot_curves([_to_plot(record) for record in activations])


def _to_plot(record: ActivationRecord) -> CurvePlot:
    return CurvePlot(
        name=escape_line(record.layer),
        kind=escape_line(record.kind),
        values={escape_line(name): np.array(numbers) for name, numbers in record.values.items()},
        points=np.array(record.curve.points),
        learned=np.array(record.curve.values),
        start=None if record.start is None else np.array(record.start.curve),
        reached=None if record.reach is None else _to_histogram(record.reach),
    )


def _to_histogram(reach: ReachRecord) -> InputHistogram:
    edges = np.linspace(reach.low, reach.high, len(reach.shares) + 1)
    return InputHistogram(edges, np.array(reach.shares), reach.below_zero)


def _rule_parts(manifest: Manifest) -> list[Part]:
    parts: list[Part] = [
        Table(*tables.tabulate_fired(manifest)) if manifest.fired else Text(say("No rule fired.")),
    ]
    if manifest.dropped:
        parts.append(Table(*tables.tabulate_dropped(manifest)))
    if manifest.declined:
        parts.append(Table(*tables.tabulate_declined(manifest)))
    return parts


def _rounding_parts(precision: str, record: RoundingRecord) -> list[Part]:
    verdict = say("Passed: {what}.") if rounding_tables.is_within_budgets(record) else say("FAILED: {what}.")
    parts: list[Part] = [
        Text(verdict.format(what=rounding_tables.describe_rounding(precision, record))),
        Table(*rounding_tables.tabulate_losses(record)),
    ]
    if record.cost is not None:
        parts.insert(1, Text(rounding_tables.describe_cost(record.cost)))
    if record.kept:
        parts.append(Table(*rounding_tables.tabulate_kept(record)))
    parts += _front_parts(record)
    parts.append(
        Text(
            say(
                "Errors compare this file with the model in float64, as shares of the output's scale; parity "
                "compares the float32 graph before it was rounded. Agreement has Wilson's 95 % interval."
            )
        )
    )
    return parts


def _front_parts(record: RoundingRecord) -> list[Part]:
    front = record.front
    picture = None if front is None else front_tables.draw_front(front, record.max_accuracy_drop)
    if front is None or picture is None:
        return []
    chosen = say("Places chosen by time and loss: {choice}.", choice=front_tables.describe_front(front))
    return [Text(chosen), picture, Table(*front_tables.tabulate_front(front))]


def _choice_parts(record: ProviderChoiceRecord) -> list[Part]:
    return [
        Text(say("Chosen by measuring: {choice}.", choice=provider_tables.describe_choice(record))),
        Table(*provider_tables.tabulate_candidates(record)),
        Text(
            say(
                "A ratio is the time of the whole model, over that of the first row; of several batches the "
                "geometric mean. Another row is taken if it is as exact and clearly faster: by 1 %, in "
                "three of four rounds or in 38 of 60, and slower with no batch by more than 3 %."
            )
        ),
    ]


def _tuning_parts(record: TuningRecord) -> list[Part]:
    parts: list[Part] = [Text(say("Measured on {where}.", where=tables.describe_tuning(record)))]
    parts += [Table(header, rows) for header, rows in tables.tabulate_tuning(record) if rows]
    parts.append(
        Text(
            say(
                "A ratio is the time of the whole model with the form, divided by the time without "
                "it; below 1 "
                "is faster. A form is taken if its whole interval is below 1 and no batch is slower. The "
                "interval covers the noise: the difference between two loads of the untuned graph."
            )
        )
    )
    return parts


def _source_parts(manifest: Manifest) -> list[Part]:
    facts = {
        say("SHA-256 of the model file"): manifest.source_digest,
        say("kind of file"): manifest.source_kind or "checkpoint",
        say("as it was loaded"): "; ".join(map(retell, manifest.source_notes)) or tables.NOTHING,
        say("reference of parity"): manifest.reference,
        say("precision"): manifest.precision,
        say("provider"): manifest.provider,
        say("opset"): str(manifest.opset),
        say("manifest"): manifest.format,
    }
    return [Table(say_all("what", "value"), list((facts | manifest.versions).items()))]
