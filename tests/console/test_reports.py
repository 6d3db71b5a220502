"""Reports in a browser: nothing keeps people from reading them, on a screen or on paper."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adaptact.languages.spoken import speak
from adaptact.report.page import render_html
from adaptive_act.study.report import make_sections
from benchmarks.study_figures import build
from convert.dossier.fields import Subject
from convert.dossier.report import render_dossier
from convert.dossier.study import read_study
from convert.evidence.inspection import read_onnx_file
from convert.evidence.report import render_report
from serve.client.experiments.report import render_report as render_experiment
from tests.console.conftest import list_serious
from tests.console.models import write_models
from tests.console.test_accessibility import LOOKS
from tests.convert.dossier.test_report import STUDY, answer_all
from tests.serve.client.experiments.test_report import make_evidence

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAPER = 680
"""Pixels of A4 between its margins."""
CUT = """width => [...document.querySelectorAll("main *")]
  .filter((part) => part.getBoundingClientRect().right > width + 1)
  .map((part) => part.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models whose manifests have every part, one of them with hostile names."""
    made = tmp_path_factory.mktemp("reports")
    write_models(made)
    return made


def _render_study(folder: Path) -> str:
    from adaptive_act.study.results import Results  # noqa: PLC0415  # costs torch, which others do without

    results = build(Results, json.loads((STUDY / "results.json").read_text(encoding="utf-8")))
    return render_html("Study", make_sections(results, []))


def _render_dossier(folder: Path) -> str:
    file = read_onnx_file(folder / "scores" / "1" / "model.onnx")
    return render_dossier(Subject(file, answer_all(), read_study(STUDY)))


REPORTS: dict[str, Callable[[Path], str]] = {
    "export": lambda folder: render_report(read_onnx_file(folder / "scores" / "1" / "model.onnx")),
    "hostile": lambda folder: render_report(read_onnx_file(folder / "long" / "1" / "model.onnx")),
    "dossier": _render_dossier,
    "study": _render_study,
    "experiment": lambda folder: render_experiment(make_evidence(), "ja"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_axe_finds_nothing_serious_and_paper_cuts_nothing(
    browser: Any, axe: Any, folder: Path, name: str
) -> None:
    page = browser.new_page()
    with speak("ja"):
        page.set_content(REPORTS[name](folder))
    for colours, width in LOOKS:
        page.emulate_media(color_scheme=colours)
        page.set_viewport_size({"width": width, "height": 900})
        assert list(list_serious(axe, page)) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 1000})
    assert page.evaluate(CUT, PAPER) == []
    page.close()
