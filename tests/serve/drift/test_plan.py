import tracemalloc

import numpy as np
import pytest

from serve.drift.counting import FIRST_CELL, MISSING, OUTSIDE, ROWS, VALUES
from serve.drift.plan import MOST_ROWS, MOST_VALUES, Plan, choose_rows, draw_tensor
from serve.engine.signature import Array
from tests.serve.drift.files import IDS, NET, WORDS, draw, read

PHOTOS = "net (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Identity(x) }"
ANY = "net (float[N, C] x) => (float[N, C] y) { y = Identity(x) }"
WIDE = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
INPUT, FIRST, SECOND = 0, 1, 2  # the places of series


def _count(plan: Plan, *arrays: Array, name: str = "x") -> dict[int, Array]:
    drawn = [plan.draw("input", {name: array}, len(array)) for array in arrays]
    return {place: plan.count(place, pieces) for place, pieces in plan.list_counts(drawn)}


def test_values_are_counted_in_the_cells_of_their_series() -> None:
    baseline = read(NET, draw(300))
    values = np.concatenate([draw(10, 1), draw(6, 2)])
    counted = _count(Plan(baseline), values[:10], values[10:])
    assert sorted(counted) == [INPUT, FIRST, SECOND]
    for place, column in ((INPUT, values), (FIRST, values[:, 0]), (SECOND, values[:, 1])):
        series, tally = baseline.series[place], counted[place]
        numbers = column.astype(np.float64)
        expected, _ = np.histogram(numbers, [-np.inf, *series.edges, np.inf])
        np.testing.assert_array_equal(tally[FIRST_CELL : FIRST_CELL + len(expected)], expected)
        assert tally[ROWS] == 16
        assert tally[VALUES] == numbers.size
        assert tally[OUTSIDE] == ((numbers < series.low) | (numbers > series.high)).sum()


def test_the_baseline_s_own_samples_fill_its_cells_alike() -> None:
    """Both are counted by the same rule, also where values lie on edges."""
    values = np.round(draw(3000), 1)
    baseline = read(NET, values)
    plan = Plan(baseline)
    pieces = [values[start : start + 10, 0] for start in range(0, 3000, 10)]
    cells = plan.count(FIRST, pieces)[FIRST_CELL:][: len(baseline.series[FIRST].counts)]
    np.testing.assert_array_equal(cells, baseline.series[FIRST].counts)


def test_nan_is_missing_and_outside_as_infinity_is() -> None:
    values = draw(8, 1)
    values[:3, 0] = np.nan
    values[3:5, 0] = np.inf, -np.inf
    tally = _count(Plan(read(NET, draw(300))), values)[FIRST]
    assert tally[MISSING] == 3
    assert tally[OUTSIDE] == 5
    assert tally[FIRST_CELL:].sum() == 5


def test_many_rows_and_large_ones_are_drawn_from() -> None:
    plan = Plan(read(ANY, WIDE))
    rows = np.random.default_rng(1).normal(size=(100, 50_000)).astype(np.float32)
    drawn = plan.draw("input", {"x": rows}, 100)
    assert drawn["input", "x"].shape == (MOST_ROWS, 1, MOST_VALUES)
    tally = _count(plan, rows)[INPUT]
    assert tally[ROWS] == MOST_ROWS
    assert tally[VALUES] == MOST_ROWS * MOST_VALUES


def test_what_is_kept_is_a_copy() -> None:
    values = draw(3)
    drawn = Plan(read(NET, draw(300))).draw("input", {"x": values}, 3)
    before = drawn["input", "x"].copy()
    values[:] = 0
    np.testing.assert_array_equal(drawn["input", "x"], before)


def test_images_of_any_size_are_told_apart_by_channel() -> None:
    shift = np.arange(3)[:, None, None]
    images = (np.random.default_rng(0).normal(size=(150, 3, 20, 20)) / 10 + shift).astype(np.float32)
    plan = Plan(read(PHOTOS, images))
    counted = _count(plan, images[:5], images[5:9, :, :7, :1])
    assert [counted[1 + channel][ROWS] for channel in range(3)] == [9, 9, 9]
    assert np.count_nonzero(counted[2][FIRST_CELL:]) > 10


@pytest.mark.parametrize("shape", [(4, 0), (4, 7), (4, 3, 2), (4,), (4, 2, 2, 2)])
def test_tensors_of_other_shapes_are_counted_as_a_whole(shape: tuple[int, ...]) -> None:
    counted = _count(Plan(read(NET, draw(300))), np.zeros(shape, np.float32))
    assert counted[INPUT][VALUES] == np.zeros(shape).size


@pytest.mark.parametrize("shape", [(), (9, 2)])
def test_a_tensor_without_the_request_s_rows_counts_as_one(shape: tuple[int, ...]) -> None:
    plan = Plan(read(NET, draw(300)))
    drawn = plan.draw("output", {"y": np.zeros(shape, np.float32)}, 4)
    [(_, pieces), *_] = plan.list_counts([drawn])
    assert sum(map(len, pieces)) == 1


def test_tensors_without_a_series_are_left() -> None:
    assert Plan(read(NET, draw(300))).draw("input", {"other": draw(3)}, 3) == {}


def test_ids_and_texts_are_counted_by_name() -> None:
    ids = np.array([7] * 150 + [-(2**62)] * 50, np.int64)
    baseline = read(IDS, ids, inputs=("ids",), outputs=("same",))
    tally = _count(Plan(baseline), np.array([7, 7, 2**63 - 1, -(2**62)], np.int64), name="ids")[0]
    assert baseline.series[0].categories == ("7", str(-(2**62)))
    assert tally[FIRST_CELL:].tolist() == [2, 1, 1]
    assert tally[OUTSIDE] == tally[MISSING] == 0

    words = np.array(["yes"] * 150 + ["x" * 100] * 50, object)
    plan = Plan(read(WORDS, words, inputs=("words",), outputs=("same",)))
    long = np.array(["yes", "x" * 10**6, "no"], object)
    assert _count(plan, long, name="words")[0][FIRST_CELL:].tolist() == [1, 1, 1]
    drawn = plan.draw("input", {"words": long}, 3)
    assert [len(word) for word in drawn["input", "words"].reshape(-1).tolist()] == [3, 64, 2]


def test_of_large_rows_no_more_is_copied_than_is_kept() -> None:
    large = np.zeros((64, 100_000), np.float32)
    random = np.random.default_rng(1)
    tracemalloc.start()
    drawn = draw_tensor(large, 1, 64, choose_rows(64, random), random)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drawn.shape == (MOST_ROWS, 1, MOST_VALUES)
    assert peak < 64 * drawn.nbytes  # a row alone has 400 KB
