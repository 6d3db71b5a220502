"""The report for an audit file: what the activations learned, what reached them, and what they decide."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from adaptact.files import replace_file
from adaptact.languages.spoken import say, say_all
from adaptact.report.drawing import as_pixels
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
from adaptive_act.explain.table import decision_header, decision_rows, layer_header, layer_row
from adaptive_act.explain.wording import explain_layer, format_share, tell_origin

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
        Section(say("Layers"), _layer_tables(findings)),
        Section(say("Learned curves"), _curve_pictures(findings.layers)),
    ]
    if findings.decisions is not None:
        sections.append(Section(say("What each layer decides"), _decision_parts(findings.decisions)))
    if findings.tracks:
        sections.append(Section(say("Drift during training"), _drift_pictures(findings.tracks)))
    if findings.provenance:
        facts = Table(say_all("what", "value"), list(findings.provenance.items()))
        sections.append(Section(say("Sources"), [facts]))
    sections.append(Section(say("How to read this page"), [Text(text) for text in _reading_notes(findings)]))
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
    with as_pixels():
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
        Table(layer_header(), [layer_row(layer) for layer in findings.layers]),
        Table(
            say_all("layer", "in words"), [(layer.name, explain_layer(layer)) for layer in findings.layers]
        ),
    ]


def _curve_pictures(layers: Sequence[Layer]) -> list[Part]:
    parts: list[Part] = []
    for start in range(0, len(layers), _ON_A_PICTURE):
        shown = layers[start : start + _ON_A_PICTURE]
        names = _name_range([layer.name for layer in shown])
        if shown[0].reach:
            caption = say(
                "Learned curve over its start, over the range that the data reached: {names}.", names=names
            )
        else:
            caption = say(
                "Learned curve over its start, from −{near} to {near}: {names}.",
                near=f"{NEAR:g}",
                names=names,
            )
        parts.append(Picture(partial(curves_figure, shown), caption))
    return parts


def _decision_parts(decisions: Decisions) -> list[Part]:
    accuracy, loss = decisions.accuracy, decisions.loss
    summary = say(
        "On {samples} labelled samples the model with its learned activations is right on "
        "{right} (95 % interval "
        "{low} to {high}), at a cross-entropy of {loss} nats ({loss_low} to {loss_high}). "
        "Below, each layer is reset to its "
        "start while the others keep their learned values; in the last row all are reset.",
        samples=f"{decisions.samples:,}",
        right=format_share(accuracy.value),
        low=format_share(accuracy.low),
        high=format_share(accuracy.high),
        loss=f"{loss.value:.4f}",
        loss_low=f"{loss.low:.4f}",
        loss_high=f"{loss.high:.4f}",
    )
    read = say(
        "Reset minus learned: if the accuracy is below 0 or the loss above 0, the learned shape is better."
    )
    interval = say("Change when a layer is reset; filled if the 95 % interval excludes 0.")
    by_class = say(
        "Change of each class's accuracy when a layer is reset; empty: no change, dash: no samples."
    )
    return [
        Text(summary),
        Table(decision_header(), decision_rows(decisions), read),
        Picture(partial(decisions_figure, decisions), interval),
        Picture(partial(classes_figure, decisions), by_class),
    ]


def _drift_pictures(tracks: Sequence[Track]) -> list[Part]:
    parts: list[Part] = []
    for start in range(0, len(tracks), _ON_A_PICTURE):
        shown = tracks[start : start + _ON_A_PICTURE]
        names = _name_range([track.layer for track in shown])
        parts.append(
            Picture(
                partial(drift_figure, shown), say("Learned values over the training: {names}.", names=names)
            )
        )
    return parts


def _reading_notes(findings: Findings) -> Iterator[str]:
    if any(layer.reach for layer in findings.layers):
        yield say(
            "“Moved” is the mean distance between the learned curve and its start, in units of the output, "
            "over the inputs that reached the layer, and as a share of the start's mean size there."
        )
    else:
        yield say(
            "No data were given: curves and “moved” cover −{near} to {near} with equal weight, "
            "not the inputs "
            "that the layer gets in use.",
            near=f"{NEAR:g}",
        )
    yield say("Ranges of values, starts and slopes are over the channels of a layer.")
    if any(layer.origin == INITIAL for layer in findings.layers):
        yield say(
            "A layer whose start is “{initial}” has no fixed point on record: it was built by hand, swapped "
            "without keeping the outputs, or replaced weights that the record does not hold.",
            initial=tell_origin(INITIAL),
        )
    if findings.decisions is not None:
        by_chance = 0.05 * len(findings.decisions.layers)
        yield say(
            "Accuracy (pp, percentage points): Newcombe's interval for paired shares, and the exact p of "
            "McNemar's test. Predictions (the share that changes): Wilson's interval. Loss: percentile "
            "bootstrap over the samples. The intervals hold for new samples of the same kind, not for "
            "another training run. Of {layers} layers up to {by_chance} would show p < 0.05 by chance alone. "
            "Layers interact: their changes need not add up to that of all.",
            layers=len(findings.decisions.layers),
            by_chance=f"{by_chance:.2g}",
        )


def _name_range(layers: Sequence[str]) -> str:
    return layers[0] if len(layers) == 1 else say("{low} to {high}", low=layers[0], high=layers[-1])
