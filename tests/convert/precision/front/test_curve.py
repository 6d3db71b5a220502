import math

import pytest

from convert.precision.front.curve import TimeAndLoss, find_front, find_knee


def _points(*pairs: tuple[float, float]) -> list[TimeAndLoss]:
    return [TimeAndLoss(*pair) for pair in pairs]


def test_what_another_beats_is_not_on_the_front() -> None:
    points = _points((1.0, 0.0), (0.5, 0.2), (0.6, 0.2), (0.6, 0.3), (0.4, 0.9), (0.5, 0.2))
    assert find_front(points) == [4, 1, 0]


@pytest.mark.parametrize("pair", [(math.nan, 0.0), (0.1, math.inf), (math.inf, 0.0), (0.1, math.nan)])
def test_points_without_finite_numbers_are_left_out(pair: tuple[float, float]) -> None:
    assert find_front(_points((1.0, 0.1), pair)) == [0]


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_the_knee_is_the_same_in_all_units(unit: float) -> None:
    points = _points((0.4, 5 * unit), (0.45, 1.5 * unit), (0.5, 0.5 * unit), (0.8, 0.3 * unit), (1.0, 0))
    assert find_knee(points) == 2


def test_kneedle_finds_the_same_knee() -> None:
    """Its paper's figure: y = -1 / x + 5, whose knee is at x = 0.22 of its range; here upside down."""
    points = _points(*((at / 10, 10 / at) for at in range(1, 11)))
    assert find_knee(points) == 2  # 0.3: 1 - 2/9 - (10/3 - 1)/9 is the largest


@pytest.mark.parametrize(
    "points",
    [
        _points((0.5, 1.0)),
        _points((0.5, 1.0), (1.0, 0.0)),
        _points((0.5, 1.0), (0.75, 0.5), (1.0, 0.0)),
        _points((0.5, 1.0), (0.6, 0.9), (0.9, 0.8), (1.0, 0.0)),
    ],
)
def test_without_a_bend_there_is_no_knee(points: list[TimeAndLoss]) -> None:
    assert find_knee(points) is None
