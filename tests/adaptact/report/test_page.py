"""Reports: escaped, self-contained, the same each time, readable in both schemes."""

import base64
from functools import partial
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from adaptact.languages.spoken import say, speak
from adaptact.report.page import LARGEST_SVG, address_picture, render_html
from adaptact.report.parts import Part, Picture, Section, Table, Text, Verdict

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
        Picture(line, "A “line”"),
    ]
    return render_html("T & <script>", [Section("One", parts), Section("Two", [Text("end")])], "sub")


def test_it_is_well_formed_and_all_text_is_escaped() -> None:
    read = Read(full())
    assert read.all("script") == []
    assert {"T & <script>", "sub", "One", "Two", "a < b & c", "<b>", "0.25", "end"} <= set(read.cells)


def test_nothing_is_fetched_from_anywhere() -> None:
    text = full()
    assert "url(" not in text
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
    source = address_picture(Picture(partial(line, LARGEST_SVG // 1000), "dense"))
    assert source.startswith("data:image/png;base64,")
    assert base64.b64decode(source.partition(",")[2])[:4] == b"\x89PNG"


def test_a_column_of_numbers_is_set_to_the_right() -> None:
    rows = [("a", 1, "0.3 ± 0.1", "–", "1x"), ("b", -2.5, "−4 %", "< 0.01", "y")]
    assert Table(("name", "n", "share", "p", "mixed"), rows).numeric == (False, True, True, True, False)


def test_a_sentence_or_a_point_of_a_law_that_begins_with_a_number_is_none() -> None:
    rows = [("−4～4 の範囲：増加する。", "1(a)、2(b)", "1(c)", "2026-11-29 09:41", "12 %（9 %～15 %）")]
    assert Table(("words", "points", "point", "time", "share"), rows).numeric == (
        False,
        False,
        False,
        False,
        True,
    )


def test_a_number_of_a_list_is_set_to_the_left() -> None:
    assert Table(("principle", "count"), [("1)", 1), ("10)", 2)]).numeric == (False, True)


def test_paper_shows_a_table_smaller_only_where_its_columns_need_it() -> None:
    assert Table([f"c{place}" for place in range(12)], [range(12)]).fit == ""
    assert Table(["c"] * 8, [["0.123 to 0.45"] * 8]).fit == "small"
    assert Table(["c"] * 9, [["86.8 % (86.0 to 87.6)"] * 9]).fit == "crowded"
    assert Table(["c"] * 3, [["正解率（ポイント）" * 4] * 3]).fit == ""  # long cells go over many lines
    assert Table(["c"] * 6, [["正解率（ポイント）"] * 6]).fit == "small"


def test_paper_cuts_only_a_table_that_takes_much_of_a_page() -> None:
    assert Table(("a",), [(str(row),) for row in range(20)]).is_short
    assert not Table(("a",), [(str(row),) for row in range(30)]).is_short
    assert not Table(("a", "b"), [(str(row), "one\ntwo\nthree") for row in range(10)]).is_short
    assert not Table(("a",), [("word " * 100,) for _ in range(5)]).is_short


def test_every_page_of_paper_names_the_report() -> None:
    assert '@bottom-left { content: "Digits\\5f 1"; }' in render_html("Digits_1", [])
    assert '@bottom-left { content: "\\3c \\2f style\\3e \\22 \\5c "; }' in render_html('</style>"\\', [])


def test_a_row_that_does_not_fit_the_header_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 2 cells as in \['a', 'b'\], got \[1\]"):
        Table(("a", "b"), [(1, 2), (1,)])


def test_the_lead_stands_before_the_sections_and_contents_name_them_where_there_are_many() -> None:
    sections = [Section(f"Part {place}", []) for place in range(5)]
    text = render_html("T", sections, lead=[Verdict("bad", "worse", "Do not use it.")])
    assert text.index('class="verdict bad"') < text.index("<nav") < text.index("<h2")
    assert [link["href"] for link in Read(text).all("a")] == [f"#s{place}" for place in range(1, 6)]
    assert "<nav" not in render_html("T", sections[:4])


def named() -> Figure:
    figure = Figure(figsize=(3, 2))
    figure.subplots().set_xlabel(say("candidate"))
    return figure


def test_a_report_is_in_the_language_that_is_spoken_and_so_are_its_figures() -> None:
    with speak("ja"):
        text = render_html("T", [Section("S", [Picture(named, "c")])])
    assert '<html lang="ja">' in text
    (image,) = Read(text).all("img")
    drawing = base64.b64decode((image["src"] or "").partition(",")[2]).decode()
    assert ">候補</text>" in drawing


def test_what_cannot_be_printed_is_replaced() -> None:
    text = render_html("T\x1b[31m", [Section("S\u202e", [Table(("a",), [("\x00",)])])])
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


def test_words_from_right_to_left_reorder_nothing_beside_them() -> None:
    text = render_html("T", [Section("S", [Table(("אב", "b"), [("א 1 ב", "2")])])])
    assert '<th scope="col">\u2068אב\u2069</th>' in text
    assert "\u2068א\u2069 1 \u2068ב\u2069" in text
