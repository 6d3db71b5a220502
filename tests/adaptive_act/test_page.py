"""Reports: escaped, self-contained, the same each time, readable in both schemes."""

import base64
import re
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from adaptive_act.page import LARGEST_SVG, Part, Picture, Section, Table, Text, render_html

VOID = {"meta", "img", "br"}


class Read(HTMLParser):
    """What a browser would see; fails where tags are not closed in the order they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th", "h1", "h2", "p"}:
            self.cells.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def line(lines: int = 1) -> Figure:
    figure = Figure(figsize=(3, 2))
    panel = figure.subplots()
    panel.plot(np.random.default_rng(0).normal(size=(100, lines)))
    panel.set_xlabel("input x")
    return figure


def full() -> str:
    parts: list[Part] = [
        Text("a < b & c"),
        Table(("layer", "slope"), [("<b>", 0.25), ("x", -1)], "cap"),
        Picture(line(), "A “line”"),
    ]
    return render_html("T & <script>", [Section("One", parts), Section("Two", [Text("end")])], "sub")


def test_it_is_well_formed_and_all_text_is_escaped() -> None:
    read = Read(full())
    assert read.all("script") == []
    assert {"T & <script>", "sub", "One", "Two", "a < b & c", "<b>", "0.25", "end"} <= set(read.cells)


def test_nothing_is_fetched_from_anywhere() -> None:
    text = full()
    assert "http://" not in text
    assert "https://" not in text
    assert [
        tag for tag, attributes in Read(text).tags if {"href", "srcset", "onload", "style"} & set(attributes)
    ] == []
    assert all((attributes["src"] or "").startswith("data:image/") for attributes in Read(text).all("img"))


def test_equal_content_gives_equal_text() -> None:
    assert full() == full()


def test_a_pictures_caption_is_its_alternative_text() -> None:
    (image,) = Read(full()).all("img")
    assert image["alt"] == "A “line”"
    media, _, content = (image["src"] or "").partition(";base64,")
    assert media == "data:image/svg+xml"
    assert ElementTree.fromstring(base64.b64decode(content)).tag.endswith("svg")


def test_a_dense_picture_becomes_pixels() -> None:
    source = Picture(line(lines=LARGEST_SVG // 1000), "dense").source
    assert source.startswith("data:image/png;base64,")
    assert base64.b64decode(source.partition(",")[2])[:4] == b"\x89PNG"


def test_a_column_of_numbers_is_set_to_the_right() -> None:
    rows = [("a", 1, "0.3 ± 0.1", "–", "1x"), ("b", -2.5, "−4 %", "< 0.01", "y")]
    assert Table(("name", "n", "share", "p", "mixed"), rows).numeric == (False, True, True, True, False)


def test_a_row_that_does_not_fit_the_header_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 2 cells as in \['a', 'b'\], got \[1\]"):
        Table(("a", "b"), [(1, 2), (1,)])


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "behind"), [("ink", "paper"), ("ink", "band"), ("soft", "paper"), ("soft", "band")]
)
def test_text_stands_out_in_both_schemes(scheme: int, text: str, behind: str) -> None:
    """WCAG 2.2 asks 4.5 : 1 of text."""
    template = resources.files("adaptive_act").joinpath("page.html.j2").read_text()
    schemes = [
        dict(re.findall(r"--(\w+): (#\w{6})", rule)) for rule in re.findall(r":root \{(.*)\}", template)
    ]
    assert len(schemes) == 2
    one, other = sorted((luminance(schemes[scheme][name]) for name in (text, behind)), reverse=True)
    assert (one + 0.05) / (other + 0.05) >= 4.5
