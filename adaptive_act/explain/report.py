"""The report for an audit file: what the activations learned, what reached them, and what they decide."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from adaptact.files import replace_file
from adaptact.report.page import render_html
from adaptact.report.parts import Part, Picture, Section, Table, Text
from adaptive_act.explain.arrays import Pixels
from adaptive_act.explain.curves import curves_figure
from adaptive_act.explain.decision_figures import classes_figure, decisions_figure
from adaptive_act.explain.decisions import Decisions
from adaptive_act.explain.drift import Track, drift_figure
from adaptive_act.explain.layers import Layer
from adaptive_act.explain.shape import NEAR
from adaptive_act.explain.start import INITIAL
from adaptive_act.explain.subplots import render_pixels, stack_pictures
from adaptive_act.explain.table import DECISIONS, LAYERS, decision_rows, layer_row
from adaptive_act.explain.wording import explain_layer, format_share

_ON_A_PICTURE = 12
"""Layers on one picture of the page: as many as a printed sheet keeps legible."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of a model's activations; `decisions` and `tracks` where they were measured."""

    layers: Sequence[Layer]
    decisions: Decisions | None = None
    tracks: Sequence[Track] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    """The files that were read and the versions that read them: name and value of each fact."""


def report(findings: Findings, title: str, subtitle: str = "") -> str:
    """The findings as one HTML page; equal findings give equal text."""
    sections = [
        Section("Layers", _layer_tables(findings)),
        Section("Learned curves", _curve_pictures(findings.layers)),
    ]
    if findings.decisions is not None:
        sections.append(Section("What each layer decides", _decision_parts(findings.decisions)))
    if findings.tracks:
        sections.append(Section("Drift during training", _drift_pictures(findings.tracks)))
    if findings.provenance:
        facts = Table(("what", "value"), list(findings.provenance.items()))
        sections.append(Section("Sources", [facts]))
    sections.append(Section("How to read this page", [Text(text) for text in _reading_notes(findings)]))
    return render_html(title, sections, subtitle)


def describe_files(files: Mapping[str, Path | None]) -> dict[str, str]:
    """The name and SHA-256 of each file, and the versions that read them."""
    facts = {}
    for role, path in files.items():
        if path is not None:
            with path.open("rb") as file:
                facts[role] = f"{path.name}, SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}"
    return facts | {package: version(package) for package in ("adaptact", "torch")}


def write_pictures(findings: Findings, curves: Path, everything: Path) -> None:
    """Writes the curves, and all pictures of the findings one below the other, as PNG files."""
    drawn = [render_pixels(curves_figure(findings.layers))]
    _write_pixels(drawn[0], curves)
    if findings.decisions is not None:
        drawn += [
            render_pixels(decisions_figure(findings.decisions)),
            render_pixels(classes_figure(findings.decisions)),
        ]
    if findings.tracks:
        drawn.append(render_pixels(drift_figure(findings.tracks)))
    _write_pixels(stack_pictures(drawn), everything)


def _write_pixels(picture: Pixels, path: Path) -> None:
    from matplotlib.image import imsave  # noqa: PLC0415  # costs 0.5 s to import

    with replace_file(path) as file:
        imsave(file, picture, format="png", metadata={"Software": ""})


def _layer_tables(findings: Findings) -> list[Part]:
    return [
        Table(LAYERS, [layer_row(layer) for layer in findings.layers]),
        Table(("layer", "in words"), [(layer.name, explain_layer(layer)) for layer in findings.layers]),
    ]


def _curve_pictures(layers: Sequence[Layer]) -> list[Part]:
    parts: list[Part] = []
    for start in range(0, len(layers), _ON_A_PICTURE):
        shown = layers[start : start + _ON_A_PICTURE]
        where = "over the range that the data reached" if shown[0].reach else f"from −{NEAR:g} to {NEAR:g}"
        names = _name_range([layer.name for layer in shown])
        parts.append(
            Picture(partial(curves_figure, shown), f"Learned curve over its start, {where}: {names}.")
        )
    return parts


def _decision_parts(decisions: Decisions) -> list[Part]:
    accuracy, loss = decisions.accuracy, decisions.loss
    right = f"{format_share(accuracy.low)} to {format_share(accuracy.high)}"
    summary = (
        f"On {decisions.samples:,} labelled samples the model with its learned activations is right on "
        f"{format_share(accuracy.value)} (95 % interval {right}), at a cross-entropy of {loss.value:.4f} "
        f"nats ({loss.low:.4f} to {loss.high:.4f}). Below, each layer is reset to its start while the others "
        "keep their learned values; in the last row all are reset."
    )
    read = "Reset minus learned: if the accuracy is below 0 or the loss above 0, the learned shape is better."
    interval = "Change when a layer is reset; filled if the 95 % interval excludes 0."
    by_class = "Change of each class's accuracy when a layer is reset; empty: no change, dash: no samples."
    return [
        Text(summary),
        Table(DECISIONS, decision_rows(decisions), read),
        Picture(partial(decisions_figure, decisions), interval),
        Picture(partial(classes_figure, decisions), by_class),
    ]


def _drift_pictures(tracks: Sequence[Track]) -> list[Part]:
    parts: list[Part] = []
    for start in range(0, len(tracks), _ON_A_PICTURE):
        shown = tracks[start : start + _ON_A_PICTURE]
        names = _name_range([track.layer for track in shown])
        parts.append(Picture(partial(drift_figure, shown), f"Learned values over the training: {names}."))
    return parts


def _reading_notes(findings: Findings) -> Iterator[str]:
    if any(layer.reach for layer in findings.layers):
        yield (
            "“Moved” is the mean distance between the learned curve and its start, in units of the output, "
            "over the inputs that reached the layer, and as a share of the start's mean size there."
        )
    else:
        yield (
            f"No data were given: curves and “moved” cover −{NEAR:g} to {NEAR:g} with equal weight, not the "
            "inputs that the layer gets in use."
        )
    yield "Ranges of values, starts and slopes are over the channels of a layer."
    if any(layer.origin == INITIAL for layer in findings.layers):
        yield (
            f"A layer whose start is “{INITIAL}” has no fixed point on record: it was built by hand, swapped "
            "without keeping the outputs, or replaced weights that the record does not hold."
        )
    if findings.decisions is not None:
        by_chance = 0.05 * len(findings.decisions.layers)
        yield (
            "Accuracy (pp, percentage points): Newcombe's interval for paired shares, and the exact p of "
            "McNemar's test. Predictions (the share that changes): Wilson's interval. Loss: percentile "
            "bootstrap over the samples. The intervals hold for new samples of the same kind, not for "
            f"another training run. Of {len(findings.decisions.layers)} layers up to {by_chance:.2g} would "
            "show p < 0.05 by chance alone. Layers interact: their changes need not add up to that of all."
        )


def _name_range(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
