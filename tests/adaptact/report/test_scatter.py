import math
import re

import pytest

from adaptact.report.page import render_html
from adaptact.report.parts import Section
from adaptact.report.scatter import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Axis, Scatter, Spot, draw_scatter
from tests.adaptact.report.test_page import Read

AXES = (Axis("time", str), Axis("loss", str))


def _draw(*spots: Spot, limit: tuple[float, str] | None = None) -> Scatter:
    return draw_scatter("cap", spots, AXES, joined=range(len(spots)), limit=limit)


@pytest.mark.parametrize(
    "values",
    [[(1.0, 0.0)], [(1.0, 1.0)] * 2, [(-1e100, 1e100), (1e100, -1e100)], [(1e-9, 0.0), (2e-9, 1e-12)]],
)
def test_few_and_extreme_points_lie_inside(values: list[tuple[float, float]]) -> None:
    scatter = _draw(*(Spot(*pair) for pair in values))
    assert all(LEFT < spot.x < WIDTH - RIGHT and TOP < spot.y < HEIGHT - BOTTOM for spot in scatter.spots)
    assert all(math.isfinite(float(number)) for number in re.findall(r"[^ ,]+", scatter.line))
    assert 2 <= len(scatter.x_ticks) <= 9


def test_more_lies_to_the_right_and_up() -> None:
    first, second = _draw(Spot(1.0, 1.0), Spot(2.0, 3.0)).spots
    assert (first.x < second.x, first.y > second.y) == (True, True)


def test_intervals_and_the_limit_are_inside_too() -> None:
    scatter = _draw(Spot(1.0, 1.0, x_interval=(0.0, 5.0), y_interval=(-9.0, 9.0)), limit=(20.0, "most"))
    (spot,) = scatter.spots
    assert spot.across is not None
    assert spot.up is not None
    assert scatter.limit is not None
    assert LEFT < spot.across[0] < spot.x < spot.across[1] < WIDTH - RIGHT
    assert TOP < scatter.limit < spot.up[1] < spot.y < spot.up[0] < HEIGHT - BOTTOM


def test_the_page_shows_every_sign_and_escapes_texts() -> None:
    spots = (
        Spot(1.0, 0.0, "cross", above="<b>"),
        Spot(0.5, 0.2, "hollow", has_ring=True, below='"&'),
        Spot(0.7, 0.1, has_diamond=True),
    )
    legend = [(sign, sign) for sign in ("filled", "hollow", "cross", "ring", "diamond")]
    scatter = draw_scatter("<i>", spots, AXES, joined=[1, 2, 0], limit=(0.1, "<u>"), legend=legend)
    read = Read(text := render_html("title", [Section("one", [scatter])]))
    classes = [attributes.get("class") for _, attributes in read.tags]
    for sign in ("f1", "hollow", "cross", "ring", "diamond"):
        assert classes.count(sign) == 2  # in the drawing and in its legend
    assert not any(tag in {"b", "i", "u", "script"} for tag, _ in read.tags)
    assert text == render_html("title", [Section("one", [scatter])])
