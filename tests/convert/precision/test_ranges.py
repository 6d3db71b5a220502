import numpy as np
import pytest
from onnxruntime.quantization.calibrate import HistogramCollector
from scipy.stats import entropy

from convert.model_io.array import Array
from convert.precision.distributions import Distribution
from convert.precision.ranges import (
    BINS,
    PERCENTILE,
    STEPS,
    RangeMethod,
    choose_by_divergence,
    choose_percentile,
    choose_range,
    hold_known,
    widen_to_symmetric,
)

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


@pytest.mark.parametrize("method", [hold_known, choose_percentile, choose_by_divergence])
@pytest.mark.parametrize(
    "numbers", [[0.0, 0.0], [2.0], [-2.0], [3e38, -3e38], [1e-44, 0.0], [np.inf, np.nan]]
)
def test_every_method_has_a_finite_range_with_0(method: RangeMethod, numbers: list[float]) -> None:
    array = np.array(numbers, np.float32)
    low, high = method(Distribution(float(array.min()), float(array.max()), array, array.size))
    assert np.isfinite([low, high]).all()
    assert low <= 0 <= high
    assert high <= max(array[np.isfinite(array)].max(initial=0), 0)


@pytest.mark.parametrize("positive", [False, True])
def test_a_percentile_is_that_of_onnxruntime(positive: bool) -> None:
    numbers = np.random.default_rng(1).laplace(size=400_000).astype(np.float32)
    numbers = np.abs(numbers) if positive else numbers
    collector = HistogramCollector("percentile", False, 8192, STEPS, 100 * PERCENTILE, "same")
    end = float(np.abs(numbers).max())
    counts, edges = np.histogram(numbers, 8192, (-end, end))
    collector.histogram_dict["x"] = (counts, edges, numbers.min(), numbers.max(), end)
    expected = collector.compute_percentile()["x"]
    low, high = choose_percentile(_describe(numbers))
    assert high == pytest.approx(float(expected[1]), abs=end / 4096)
    assert low == pytest.approx(min(float(expected[0]), 0), abs=end / 4096)


def _measure_divergence(numbers: Array, end: float) -> float:
    """As the method was published: of the bins up to `end` from the same bins in STEPS equal parts."""
    largest = float(np.abs(numbers).max())
    width = 2 * largest / (2 * BINS + 1)
    reach = round(end / width - 0.5)
    bins = [0.0] * (2 * reach + 1)
    inside = [0.0] * (2 * reach + 1)
    for number in numbers.tolist():
        place = int(np.floor((number + largest) / width)) - (BINS - reach)
        bins[min(max(place, 0), 2 * reach)] += 1
        if 0 <= place <= 2 * reach:
            inside[place] += 1
    merged = len(bins) // STEPS
    flat = [0.0] * len(bins)
    for step in range(STEPS):
        part = range(step * merged, len(bins) if step == STEPS - 1 else (step + 1) * merged)
        used = [place for place in part if bins[place]]
        for place in used:
            flat[place] = sum(inside[other] for other in part) / len(used)
    exact, rounded = (np.array([max(bin_, 1e-4) for bin_ in each]) for each in (bins, flat))
    return float(entropy(exact, rounded))


def test_the_divergence_is_the_least() -> None:
    numbers = np.append(STEEP[:5000], np.array([-40, 40], np.float32))
    low, high = choose_by_divergence(_describe(numbers))
    assert low == pytest.approx(-high)
    assert high < 0.5 * 40
    chosen = _measure_divergence(numbers, high)
    assert all(chosen <= _measure_divergence(numbers, high * share) for share in (0.7, 0.9, 1.2, 1.5, 1.9))


@pytest.mark.parametrize("limits", [(-1.0, 3.0), (-3.0, 1.0), (-2.0, 2.0), (-5.0, 0.0), (-1e-30, 1e30)])
def test_a_symmetric_range_holds_the_given_one_with_0_in_its_middle(limits: tuple[float, float]) -> None:
    low, high = widen_to_symmetric(*limits)
    step = (high - low) / STEPS
    assert -low / step == pytest.approx(128)
    slack = 1 + 1e-12
    assert low * slack <= limits[0] <= limits[1] <= high * slack
    assert low == pytest.approx(limits[0]) or high == pytest.approx(limits[1])


def test_a_symmetric_range_ends_with_the_numbers_of_float32() -> None:
    low, high = widen_to_symmetric(-1.0, 3.4e38)
    assert low == pytest.approx(-float(np.finfo(np.float32).max))
    assert np.isfinite(np.float32(low))
    assert high == pytest.approx(-low * 127 / 128)


@pytest.mark.parametrize("limits", [(0.0, 3.0), (0.0, 0.0)])
def test_a_range_from_0_on_is_symmetric_already(limits: tuple[float, float]) -> None:
    assert widen_to_symmetric(*limits) == limits
