"""What notebooks show: whole, escaped, and never an error."""

import math
from xml.etree import ElementTree

import pytest

from adaptact.report.notebook import MOST_CURVES, MOST_ROWS, show_curves, show_table

ATTACK = '"><script>alert(1)</script>\x1b[31m'


def test_a_table_shows_its_first_rows_and_counts_the_rest() -> None:
    text = show_table("T", ("a", "b"), [(1, ATTACK)] * (MOST_ROWS + 5), ATTACK)
    assert text.count("<tr>") == MOST_ROWS + 1
    assert "… and 5 more" in text
    assert "<script" not in text
    ElementTree.fromstring(text)


@pytest.mark.parametrize(
    "curves", [[[1.0, 2.0]], [[0.0, 0.0]], [[math.nan, 1.0]], [[math.inf, math.nan]], [], [[1.0, 2.0]] * 100]
)
def test_curves_are_drawn_whatever_they_are(curves: list[list[float]]) -> None:
    text = show_curves(ATTACK, [0.0, 1.0], curves)
    drawing = ElementTree.fromstring(text.replace("<br>", "<br/>"))
    assert len(list(drawing.iter("polyline"))) == min(len(curves), MOST_CURVES)
    assert "nan" not in text
    assert "inf" not in text
