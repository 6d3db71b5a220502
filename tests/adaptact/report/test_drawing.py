"""Figures as images: texts that stay texts, and never boxes instead of letters."""

import pytest
from matplotlib.figure import Figure

from adaptact.languages.spoken import say, speak
from adaptact.report import drawing
from adaptact.report.drawing import draw_png, draw_svg


def draw() -> Figure:
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, say("candidate"))
    return figure


def test_texts_of_a_drawing_stay_texts_in_every_language() -> None:
    assert b">candidate</text>" in draw_svg(draw)
    with speak("ja"):
        assert ">候補</text>".encode() in draw_svg(draw)


def test_pixels_are_in_english_where_no_font_has_the_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def note() -> Figure:
        said.append(say("candidate"))
        return Figure(figsize=(1, 1))

    for font in (None, "DejaVu Serif"):
        monkeypatch.setattr(drawing, "find_font", lambda font=font: font)
        with speak("ja"):
            draw_png(note)
    assert said == ["candidate", "候補"]


def test_equal_figures_are_equal_files() -> None:
    assert draw_svg(draw) == draw_svg(draw)
    assert draw_png(draw) == draw_png(draw)
