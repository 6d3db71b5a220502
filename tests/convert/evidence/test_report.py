import dataclasses
from pathlib import Path

import numpy as np
import pytest

from convert.artefact.file import serialise
from convert.evidence.inspection import OnnxFile, read_onnx_file
from convert.evidence.report import draw_curves, has_passed, render_report
from convert.manifest.manifest import (
    ActivationRecord,
    AgreementRecord,
    DroppedRecord,
    Manifest,
    ReachRecord,
    StartRecord,
)
from tests.convert.graphs import parse_graph, write_constant, write_graph
from tests.convert.manifest.test_manifest import COVERAGE, MANIFEST, TUNING


def _make_full_manifest() -> Manifest:
    """A manifest with everything that a page can show."""
    activation = dataclasses.replace(
        MANIFEST.activations[0],
        words="It bends.",
        replaced="ELU(alpha=1.0)",
        start=StartRecord("the fixed point", {"a": (1.0,), "b": (1.0,)}, ((-0.6, 0.0, 1.0),)),
        reach=ReachRecord(100, -1.0, 1.0, (0.25, 0.75), 0.25),
    )
    output = dataclasses.replace(
        MANIFEST.parity.outputs[0], typical_scale=1.0, ratio=1.5, top1=AgreementRecord(9, 8, 9, 0.5, 0.98)
    )
    return dataclasses.replace(
        MANIFEST,
        activations=(activation, dataclasses.replace(MANIFEST.activations[0], layer="2")),
        dropped=(DroppedRecord("broken_rule", "too far off"),),
        parity=dataclasses.replace(MANIFEST.parity, outputs=(output,), coverage=COVERAGE),
    )


def _write_file(tmp_path: Path, manifest: Manifest | None) -> OnnxFile:
    model = parse_graph(write_graph("r = Relu(x) y = Mul(r, s)", write_constant("s", 4, 1, 1)))
    (tmp_path / "m.onnx").write_bytes(serialise(model, manifest))
    return read_onnx_file(tmp_path / "m.onnx")


def test_the_page_begins_with_what_parity_says(tmp_path: Path) -> None:
    passed = render_report(_write_file(tmp_path, _make_full_manifest()))
    assert (
        'class="verdict caution"><strong>Parity passed</strong>' in passed
    )  # weak, by the manifest's reasons
    output = dataclasses.replace(MANIFEST.parity.outputs[0], file_error=1e9)
    parity = dataclasses.replace(MANIFEST.parity, outputs=(output,))
    failed = render_report(_write_file(tmp_path, dataclasses.replace(MANIFEST, parity=parity)))
    assert 'class="verdict bad"><strong>Parity FAILED</strong>' in failed
    assert "<strong>No evidence</strong>" in render_report(_write_file(tmp_path, None))


def test_the_page_shows_all_that_the_manifest_holds(tmp_path: Path) -> None:
    text = render_report(_write_file(tmp_path, _make_full_manifest()))
    for printed in (
        "parity passed in 1 sets",
        "weak; 4 of 5 weights were changed a little, and 3 of the changes moved an output",
        "input `mask` moves no output",
        str(2**63 - 1),
        "It bends.",
        "ELU(alpha=1.0)",
        "broken_rule",
        "read elsewhere too",
    ):
        assert printed in text
    for printed in (
        "elu_to_exp",
        "cat, dog",
        "resize",
        "89 % of 9 (50 % to 98 %; float32&#39;s 100 %)",
        "ab" * 32,
    ):
        assert printed in text


def test_the_page_shows_tuning(tmp_path: Path) -> None:
    text = render_report(_write_file(tmp_path, dataclasses.replace(MANIFEST, tuning=TUNING)))
    for printed in (
        "Measured on cpu, 2 threads, batch 1, 16, a CPU: the chosen forms are faster",
        "(2 trials in 12.5 s; noise 1.00%)",
        "features.1",
        "0.880 to 0.920",
        "elu_as_sum",
    ):
        assert printed in text
    assert "Measured on" not in render_report(_write_file(tmp_path, MANIFEST))


def test_a_new_comparison_replaces_the_old_one(tmp_path: Path) -> None:
    output = dataclasses.replace(MANIFEST.parity.outputs[0], file_error=float("inf"))
    anew = dataclasses.replace(MANIFEST.parity, outputs=(output,))
    text = render_report(_write_file(tmp_path, MANIFEST), anew)
    assert "Compared anew, parity FAILED" in text
    assert "parity passed" not in text


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 1e-3])
def test_an_error_beyond_its_allowance_fails(error: float) -> None:
    output = dataclasses.replace(MANIFEST.parity.outputs[0], file_error=error)
    assert has_passed(MANIFEST.parity)
    assert not has_passed(dataclasses.replace(MANIFEST.parity, outputs=(output,)))


def test_names_in_the_file_are_text_and_never_markup(tmp_path: Path) -> None:
    hostile = dataclasses.replace(MANIFEST, classes=("<script>alert(1)</script>", "dog"))
    assert "<script" not in render_report(_write_file(tmp_path, hostile))


def test_a_file_without_a_manifest_has_a_page(tmp_path: Path) -> None:
    assert "adaptact did not write this file" in render_report(_write_file(tmp_path, None))


OLD = MANIFEST.activations[0]  # of a version that knew neither start nor reach
NEW = dataclasses.replace(
    OLD,
    start=StartRecord("the fixed point", {}, tuple(OLD.curve.points for _ in OLD.curve.values)),
    reach=ReachRecord(100, -1.0, 1.0, (0.25, 0.75), 0.25),
)


@pytest.mark.parametrize(
    ("record", "parts", "named"), [(OLD, 1, ["learned"]), (NEW, 2, ["learned", "start", "what reached it"])]
)
def test_a_sparse_manifest_has_a_sparse_page(record: ActivationRecord, parts: int, named: list[str]) -> None:
    figure = draw_curves([record])
    (legend,) = figure.legends
    assert len(figure.axes) == parts
    assert [text.get_text() for text in legend.get_texts()] == named
    curve = figure.axes[0].lines[2]  # after the two lines through zero
    assert np.asarray(curve.get_xydata()).tolist() == [
        list(point) for point in zip(record.curve.points, record.curve.values[0], strict=True)
    ]
