import numpy as np
import pytest

from convert.model_io.array import Array
from convert.precision.distributions import Distribution
from convert.precision.ranges import choose_range

STEEP = np.random.default_rng(0).laplace(size=20000).astype(np.float32)


def _describe(numbers: Array, count: int | None = None) -> Distribution:
    return Distribution(float(numbers.min()), float(numbers.max()), numbers, count or numbers.size)


def _measure_error(numbers: Array, low: float, high: float) -> float:
    step = (high - low) / 255
    zero = np.rint(-low / step)
    rounded = (np.clip(np.rint(numbers / step) + zero, 0, 255) - zero) * step
    return float(((rounded - numbers) ** 2).mean())


def test_the_range_has_the_least_error_of_all_that_are_tried() -> None:
    low, high = choose_range(_describe(STEEP))
    assert STEEP.min() < low < 0 < high < STEEP.max()
    chosen = _measure_error(STEEP, low, high)
    for first in (0.6, 0.8, 0.9, 1.0):
        for last in (0.6, 0.8, 0.9, 1.0):
            assert chosen < 1.1 * _measure_error(STEEP, low * first / 0.8, high * last / 0.8)


def test_even_numbers_are_not_cut_off() -> None:
    even = np.linspace(0, 3, 5000, dtype=np.float32)
    assert choose_range(_describe(even)) == pytest.approx((0, 3), rel=0.02)


def test_an_extreme_that_was_not_drawn_has_its_weight() -> None:
    seldom = Distribution(float(STEEP.min()), 1000.0, STEEP, 10**15)
    often = Distribution(float(STEEP.min()), 1000.0, STEEP, STEEP.size)
    assert choose_range(seldom)[1] < 200
    assert choose_range(often)[1] > 600


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0.0, 0.0], (0.0, 0.0)),
        ([2.0, 2.0], (0.0, 2.0)),
        ([-2.0], (-2.0, 0.0)),
        ([3e38, -3e38], (-3e38, 3e38)),
        ([1e-44, 0.0], (0.0, 1e-44)),
        ([], (0.0, 1.0)),
        ([np.inf, 1.0], (0.0, 1.0)),
        ([-np.inf, np.nan], (0.0, 0.0)),
    ],
)
def test_odd_values_have_a_range_with_0(numbers: list[float], expected: tuple[float, float]) -> None:
    array = np.array(numbers, np.float32)
    low, high = (float(array.min()), float(array.max())) if numbers else (0.0, 1.0)
    assert choose_range(Distribution(low, high, array, 2)) == pytest.approx(expected, rel=0.02)
