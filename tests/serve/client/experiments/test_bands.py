from typing import Any

from serve.client.experiments.bands import MOST_LINES, WIDTH, draw_bands, spread
from serve.client.experiments.replies import Look, Looks, read
from tests.serve.client.experiments.looks import make_results

BEGIN = 1_764_000_000_000_000


def make_looks(*widths: float | None) -> list[Look]:
    reply: dict[str, Any] = {
        "looks": [{"at": BEGIN + place, "results": make_results(width)} for place, width in enumerate(widths)]
    }
    return read(Looks, reply).looks


def test_the_band_closes_from_line_to_line() -> None:
    lines = draw_bands(make_looks(None, 0.3, 0.1, 0.05), "bought", "candidate")
    lengths = [line.count("─") for line in lines]
    assert lengths == sorted(lengths, reverse=True)
    assert [line[18] for line in lines] == ["<", "<", " ", " "]
    assert all(line[18 : 18 + WIDTH].count("●") == 1 for line in lines)
    assert all("|" in line for line in lines)


def test_long_experiments_have_few_lines() -> None:
    assert len(draw_bands(make_looks(*[0.1] * 300), "bought", "candidate")) == MOST_LINES
    assert spread(300, 3) == [0, 150, 299]


def test_nothing_is_drawn_of_what_is_not_known() -> None:
    assert draw_bands([], "bought", "candidate") == []
    assert draw_bands(make_looks(0.1), "other", "candidate") == []
