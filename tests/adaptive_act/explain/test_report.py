"""The page for an audit file, and the pictures."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from torch import nn

from adaptive_act import PReLU
from adaptive_act.explain import Drift, Findings, decide, explained, layers, reach, report, write_pictures
from adaptive_act.explain.report import describe_files
from adaptive_act.explain.table import layer_record
from tests.adaptive_act.explain.models import batches, data, learned


class Read(HTMLParser):
    """The text of the headings and of the cells, and the pictures' alternatives."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.cells: list[str] = []
        self.pictures: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if tag == "img":
            self.pictures.append(dict(attrs)["alt"] or "")

    def handle_data(self, data: str) -> None:
        {"h2": self.headings, "td": self.cells}.get(self._inside, []).append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def findings(full: bool = True) -> Findings:
    model = learned(per_channel=True)
    if not full:
        return Findings(layers(model))
    drift = Drift(model)
    drift.record(0)
    drift.record(1)
    reached = reach(model, [x for x, _ in batches()])
    return Findings(layers(model, reached), decide(model, batches()), drift.tracks, {"model": "m.pt <1>"})


def test_the_page_holds_all_that_was_found() -> None:
    read = Read(report(findings(), "Activations of m.pt"))
    assert read.headings == [
        "Layers",
        "Learned curves",
        "What each layer decides",
        "Drift during training",
        "Sources",
        "How to read this page",
    ]
    assert {"PReLU", "MPELU", "ELU(alpha=0.7)", "all layers", "m.pt <1>"} <= set(read.cells)
    assert len(read.pictures) == 4


def test_the_page_leaves_out_what_was_not_measured() -> None:
    text = report(findings(full=False), "t")
    assert Read(text).headings == ["Layers", "Learned curves", "How to read this page"]
    assert "No data were given" in text


@pytest.mark.slow
def test_equal_findings_give_equal_text() -> None:
    text = report(findings(), "t")
    assert text == report(findings(), "t")
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.slow
def test_many_layers_fill_several_pictures() -> None:
    few = findings(full=False).layers
    read = Read(report(Findings([few[0]] * 50), "t"))
    assert len(read.pictures) == 5


@pytest.mark.slow
def test_the_picture_of_everything_begins_with_the_curves(tmp_path: Path) -> None:
    write_pictures(findings(), tmp_path / "curves.png", tmp_path / "report.png")
    curves, everything = (image.imread(tmp_path / name) for name in ("curves.png", "report.png"))
    height, width, _ = curves.shape
    np.testing.assert_array_equal(everything[:height, :width], curves)
    assert everything.shape[0] > height + 300


def test_files_are_named_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_bytes(b"abc")
    facts = describe_files({"model": tmp_path / "m.pt", "samples": None})
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert facts["model"] == f"m.pt, SHA-256 {digest}"
    assert set(facts) == {"model", "adaptact", "torch"}


def test_a_model_that_diverged_is_reported_as_such() -> None:
    values = [float("nan"), float("inf"), 0.5]
    model = nn.Sequential(PReLU(3, a=values), nn.Linear(3, 3))
    x, labels = data(40)
    x = x[:, :3]
    found = Findings(layers(model, reach(model, [x])), decide(model, [(x, labels)]))
    assert "gives values that are not finite in 2 of 3 channels" in explained(found.layers[0])
    assert "gives values that are not finite" in report(found, "t")
    json.dumps(layer_record(found.layers[0]), allow_nan=False)
