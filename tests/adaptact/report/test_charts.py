import math

import pytest

from adaptact.report.charts import BOTTOM, HEIGHT, TOP, Band, Curve, choose_ticks, draw


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-0.3, 0.07), (1e-9, 2e-9), (0, 1e100), (-1e100, 1e100), (99.999, 100)]
)
def test_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = choose_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)


def test_ticks_are_round() -> None:
    assert choose_ticks(-0.11, 0.3) == [-0.1, 0.0, 0.1, 0.2, 0.3]
    assert all(math.copysign(1, tick) == 1 for tick in choose_ticks(-1, 1) if tick == 0)


def test_an_open_end_lies_on_the_edge() -> None:
    band = Band([0, 10], [None, 0.1], [None, 0.3])
    chart = draw("", [Curve("a", [(0, 0.2), (10, 0.2)])], str, band=band, baseline=0.0)
    first, *_, last = (float(point.split(",")[1]) for point in chart.band.split())
    assert (first, last) == (TOP, HEIGHT - BOTTOM)
    assert chart.baseline is not None
    assert TOP < chart.baseline < HEIGHT - BOTTOM


@pytest.mark.parametrize("points", [[(5, 1.0)], [(5, 0.0), (6, 0.0)], [(5, 1e100), (6, -1e100)]])
def test_few_and_extreme_points_are_drawn(points: list[tuple[int, float]]) -> None:
    chart = draw("", [Curve("a", points)], str, baseline=0.0)
    (curve,) = chart.curves
    assert all(math.isfinite(float(number)) for point in curve.line.split() for number in point.split(","))


def test_marks_outside_the_time_are_left_out() -> None:
    chart = draw("", [Curve("a", [(10, 1.0), (20, 2.0)])], str, marks={5: "1", 15: "2", 25: "3"})
    assert [mark.text for mark in chart.marks] == ["2"]


def test_without_a_band_every_value_is_shown() -> None:
    chart = draw("", [Curve("a", [(0, 0.0), (10, 1.0), (20, 2.0)])], str)
    places = [float(point.split(",")[1]) for point in chart.curves[0].line.split()]
    assert places[0] == HEIGHT - BOTTOM
    assert places[0] - places[1] == pytest.approx(places[1] - places[2], abs=0.2)
