from dataclasses import replace

import numpy as np
import pytest

from convert.model_io.array import Array
from convert.parity.criterion import Comparison, Run, compare, measure_scales

EPS = float(np.finfo(np.float32).eps)


def _make_run(reference: Array, original: Array, file: Array, finite: bool = True) -> Run:
    return Run("set", 1, True, finite, {"y": reference}, [{"y": original}], {"y": file})


def _compare(reference: Array, original: Array, file: Array, finite: bool = True) -> Comparison:
    run = _make_run(np.asarray(reference, np.float64), original, file, finite)
    return compare(run, "y", measure_scales([run])["y"])


def _compare_whole(reference: Array, original: Array, file: Array) -> Comparison:
    return compare(_make_run(reference, original, file), "y", 1.0)


ONES = np.ones(4, np.float32)


def test_an_equal_file_passes() -> None:
    assert _compare(ONES, ONES, ONES).passed


def test_the_allowance_follows_the_originals_error() -> None:
    exact = np.ones(4)
    own = (exact + 1e-4).astype(np.float32)
    assert _compare(exact, own, (exact + 3.9e-4).astype(np.float32)).passed
    assert not _compare(exact, own, (exact + 4.2e-4).astype(np.float32)).passed


def test_the_floor_follows_the_scale() -> None:
    assert _compare(ONES * 1e3, ONES * 1000, ONES * np.float32(1000 * (1 + 3 * EPS))).passed
    assert not _compare(ONES * 1e3, ONES * 1000, ONES * np.float32(1000 * (1 + 6 * EPS))).passed


def test_the_worst_number_is_named() -> None:
    file = ONES.copy()
    file[2] = 1.5
    failed = _compare(ONES, ONES, file)
    assert (failed.worst, failed.expected, failed.got) == ((2,), 1.0, 1.5)
    assert not failed.passed


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_file_that_alone_is_not_finite_fails(wrong: float) -> None:
    file = ONES.copy()
    file[1] = wrong
    assert not _compare(ONES, ONES, file).passed


@pytest.mark.parametrize("overflowed", [np.nan, np.inf])
def test_nothing_is_demanded_where_the_original_overflows(overflowed: float) -> None:
    original = ONES.copy()
    original[0] = overflowed
    comparison = _compare(np.array([1e300, 1, 1, 1]), original, np.array([7, 1, 1, 1], np.float32))
    assert comparison.passed
    assert comparison.overflowed == 1


def test_the_rest_is_judged_where_one_number_overflows() -> None:
    original = np.array([np.inf, 1, 1, 1], np.float32)
    assert not _compare(
        np.array([1e300, 1, 1, 1]), original, np.array([np.inf, 1, 1, 1.01], np.float32)
    ).passed


def test_lost_nans_are_counted_and_not_judged() -> None:
    original = np.array([np.nan, np.inf, 1, 1], np.float32)
    comparison = _compare(
        original.astype(np.float64), original, np.array([0, np.inf, 1, 2], np.float32), finite=False
    )
    assert comparison.passed
    assert (comparison.non_finite, comparison.non_finite_lost) == (2, 1)


MASKED = np.array([-np.inf, 1, 1, 1], np.float32)


@pytest.mark.parametrize("got", [0.0, np.inf, np.nan, -3e38])
def test_an_infinity_that_the_original_is_sure_of_may_not_be_lost(got: float) -> None:
    wrong = MASKED.copy()
    wrong[0] = got
    assert _compare(MASKED, MASKED, MASKED).passed
    failed = _compare(MASKED, MASKED, wrong)
    assert not failed.passed
    assert (failed.worst, failed.expected) == ((0,), -np.inf)


def test_an_infinity_is_not_judged_where_a_run_or_the_users_numbers_leave_it_open() -> None:
    run = _make_run(MASKED.astype(np.float64), MASKED, ONES)
    assert compare(replace(run, originals=[{"y": MASKED}, {"y": ONES}]), "y", 1.0).passed
    assert compare(replace(run, typical=False), "y", 1.0).passed
    assert compare(replace(run, undefined=True), "y", 1.0).passed


def _mask(dtype: type[np.floating]) -> Array:
    """Three numbers and the lowest of the type, as a mask of `torch.finfo(x.dtype).min` gives it."""
    return np.array([np.finfo(dtype).min, 1, 2, 3], dtype)


@pytest.mark.parametrize("exact", [_mask(np.float64), _mask(np.float32).astype(np.float64)])
def test_the_largest_number_of_a_type_hides_no_error(exact: Array) -> None:
    """In float64 it is another one: taken for the original's own error, it would allow any."""
    own = _mask(np.float32)
    assert _compare(exact, own, own).passed
    for place, number in ((0, 0.0), (2, 2.001)):
        wrong = own.copy()
        wrong[place] = number
        failed = _compare(exact, own, wrong)
        assert not failed.passed
        assert (failed.worst, failed.expected, failed.scale) == ((place,), exact[place], 3.0)


def test_a_number_that_the_type_does_not_hold_is_no_error_of_the_original() -> None:
    exact, own = np.array([1e300, 1, 2, 3]), np.array([5, 1, 2, 3], np.float32)
    assert _compare(exact, own, own).passed
    assert not _compare(exact, own, own + np.array([0, 0, 0.1, 0], np.float32)).passed


def test_another_shape_or_type_fails() -> None:
    assert not _compare(ONES, ONES, np.ones(3, np.float32)).passed
    assert not _compare(ONES, ONES, np.ones(4, np.float64)).passed


def test_whole_numbers_must_be_equal_where_the_original_is_sure() -> None:
    exact = np.array([1, 2, 3])
    assert _compare(exact, exact, exact).passed
    assert not _compare(exact, exact, np.array([1, 2, 4])).passed
    assert _compare(exact, np.array([1, 2, 5]), np.array([1, 2, 4])).passed


def test_whole_numbers_are_told_apart_that_are_one_number_in_float64() -> None:
    exact = np.array([2**62, -(2**53)])
    for wrong in ([2**62 + 1, -(2**53)], [2**62, -(2**53) - 1]):
        assert not _compare_whole(exact, exact, np.array(wrong)).passed
    other = np.array([2**62 + 1, -(2**53)])
    assert _compare_whole(exact, other, other).passed


def test_ranks_may_differ_in_a_row_where_the_original_exchanges_two() -> None:
    exact, own = np.array([[5, 7, 2, 9], [1, 3, 8, 4]]), np.array([[7, 5, 2, 9], [1, 3, 8, 4]])
    assert _compare(exact, own, np.array([[5, 7, 9, 2], [1, 3, 8, 4]])).passed
    assert not _compare(exact, own, np.array([[5, 7, 2, 9], [1, 3, 4, 8]])).passed


@pytest.mark.parametrize(
    ("exact", "own", "file"),
    [
        ([[0, 1, 2, 4]], [[0, 1, 2, 3]], [[0, 0, 2, 4]]),
        ([[1, 1, 2, 3]], [[1, 1, 2, 4]], [[2, 1, 1, 3]]),
        ([[0, 1, 2, 4]], [[0, 1, 2, 3]], [[5, 1, 2, 4]]),
    ],
    ids=["steps", "classes", "another number"],
)
def test_one_undecided_number_excuses_no_others_beside_it(
    exact: list[list[int]], own: list[list[int]], file: list[list[int]]
) -> None:
    assert not _compare(np.array(exact), np.array(own), np.array(file)).passed


def test_the_file_may_have_any_shape_of_the_original() -> None:
    exact, own = np.ones(3), np.ones(4, np.float32)
    assert _compare(exact, own, np.ones(3, np.float32)).passed
    assert _compare(exact, own, np.ones(4, np.float32)).passed
    assert not _compare(exact, own, np.ones(5, np.float32)).passed
    assert _compare(exact, own, np.ones(5, np.float32), finite=False).passed


def test_a_tolerance_allows_a_share_of_the_scale() -> None:
    run = _make_run(np.ones(4), ONES, ONES * np.float32(1.009))
    assert not compare(run, "y", 1.0).passed
    assert compare(run, "y", 1.0, tolerance=0.01).passed


def test_numbers_that_only_the_file_loses_are_counted() -> None:
    file = np.array([np.nan, 1, np.inf, 1], np.float32)
    comparison = _compare(ONES, ONES, file, finite=False)
    assert comparison.passed
    assert comparison.non_finite_gained == 2


def test_the_originals_own_errors_are_those_on_the_very_samples() -> None:
    own = np.array([1, 1, 1.25, 1], np.float32)
    comparison = _compare(ONES, own, ONES)
    assert comparison.original_errors.tolist() == [0, 0, 0.25, 0]


LARGE = 1e7
RANDOM = np.random.default_rng(0)


def _join_large_boxes(scores: Array) -> Array:
    """Boxes of LARGE pixels, and then the scores, [rows, 2 ...]."""
    return np.stack([np.linspace(-LARGE, LARGE, scores.size).reshape(scores.shape), scores], 1)


SMALL = RANDOM.random(64)


@pytest.mark.parametrize("axis", [1, -1], ids=["axis 1", "the last"])
def test_a_wrong_channel_does_not_hide_beside_a_large_one(axis: int) -> None:
    exact = np.moveaxis(_join_large_boxes(SMALL.reshape(8, 8)), 1, axis)
    wrong = np.moveaxis(_join_large_boxes(np.full((8, 8), 0.5)), 1, axis).astype(np.float32)
    failed = _compare(exact, exact.astype(np.float32), wrong)
    assert not failed.passed
    assert failed.scale == 1.0
    assert failed.worst[axis] == 1
    assert (failed.expected, failed.got) == (exact[failed.worst], 0.5)
    assert failed.file_error == abs(failed.got - failed.expected)


def test_a_channels_allowance_follows_its_own_error() -> None:
    exact = _join_large_boxes(SMALL)
    noise = RANDOM.standard_normal(64) * 1e-3
    own = _join_large_boxes(SMALL + noise).astype(np.float32)
    assert _compare(exact, own, _join_large_boxes(SMALL + 3 * noise[::-1]).astype(np.float32)).passed
    assert not _compare(exact, own, _join_large_boxes(SMALL + 0.25).astype(np.float32)).passed


def test_a_channel_that_is_zero_or_constant_may_round() -> None:
    for value in (0.0, 1.0):
        exact = _join_large_boxes(np.full(64, value))
        file = _join_large_boxes(np.full(64, value + EPS)).astype(np.float32)
        assert _compare(exact, exact.astype(np.float32), file).passed


def test_single_numbers_of_a_channel_may_stray() -> None:
    exact = _join_large_boxes(SMALL)
    scores = SMALL.copy()
    scores[:4] += 0.01
    assert _compare(exact, exact.astype(np.float32), _join_large_boxes(scores).astype(np.float32)).passed
    scores[4] += 0.01
    assert not _compare(exact, exact.astype(np.float32), _join_large_boxes(scores).astype(np.float32)).passed


@pytest.mark.parametrize(("rows", "typical"), [(2, True), (64, False)])
def test_a_channel_needs_three_typical_numbers(rows: int, typical: bool) -> None:
    exact = _join_large_boxes(SMALL[:rows])
    file = _join_large_boxes(SMALL[:rows] + 0.1).astype(np.float32)
    run = Run("set", rows, typical, True, {"y": exact}, [{"y": exact.astype(np.float32)}], {"y": file})
    assert compare(run, "y", LARGE).passed


def test_a_tolerance_is_of_the_whole_scale_in_each_channel_too() -> None:
    exact = _join_large_boxes(SMALL)
    run = _make_run(exact, exact.astype(np.float32), _join_large_boxes(SMALL + 0.1).astype(np.float32))
    assert not compare(run, "y", LARGE).passed
    assert compare(run, "y", LARGE, tolerance=1e-6).passed


def test_sums_of_large_terms_pass_with_float32_errors() -> None:
    """Correct programs that add up the same in another order, in channels of which one in two cancels."""
    for seed in range(40):
        random = np.random.default_rng(seed)
        terms = random.standard_normal((3, 50, 32)) * 1e4
        terms[:, ::2, 16:] = -terms[:, ::2, :16] + random.standard_normal((3, 25, 16)) * 1e-2
        own = [
            {"y": np.cumsum(random.permuted(terms, axis=2).astype(np.float32), axis=2)[..., -1]}
            for _ in range(3)
        ]
        file = np.cumsum(terms[..., ::-1].astype(np.float32), axis=2)[..., -1]
        exact = terms.astype(np.float32).astype(np.float64).sum(2)
        run = Run("set", 3, True, True, {"y": exact}, own, {"y": file})
        assert compare(run, "y", measure_scales([run])["y"]).passed


@pytest.mark.parametrize(
    ("file", "passes"), [([1.0, 1.0], True), ([2.0, 1.0], True), ([1.5, 1.0], False), ([1.0, 2.0], False)]
)
def test_trees_may_give_either_side_of_a_jump(file: list[float], passes: bool) -> None:
    reference, behind = np.ones(2), np.asarray([2.0, 1.0], np.float32)
    originals = [{"y": ONES[:2]}, {"y": behind}]
    run = Run("set", 2, True, True, {"y": reference}, originals, {"y": np.asarray(file, np.float32)}, trees=1)
    assert compare(run, "y", 1.0).passed is passes


def test_a_sum_of_trees_may_round_by_the_root_of_their_number() -> None:
    for trees, passes in {1: False, 99: False, 400: True}.items():
        file = ONES + np.float32(4 * 15 * EPS)
        run = Run("set", 4, False, True, {"y": np.ones(4)}, [{"y": ONES}], {"y": file}, trees=trees)
        assert compare(run, "y", 1.0).passed is passes
