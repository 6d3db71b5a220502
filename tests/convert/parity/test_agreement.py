import numpy as np
import pytest

from convert.model_io.array import Array
from convert.parity.agreement import Agreement, count_top1
from convert.parity.criterion import Run


def make_run(reference: Array, original: Array, file: Array) -> Run:
    return Run("set", 1, True, True, {"y": reference}, [{"y": original}], {"y": file})


SCORES = np.array([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]])


def test_top1_counts_samples_that_keep_their_class() -> None:
    turned = SCORES.copy()
    turned[2] = turned[2, ::-1]
    comparison = count_top1([make_run(SCORES, turned.astype(np.float32), SCORES.astype(np.float32))], "y")
    assert comparison == Agreement(samples=3, agreed=3, original_agreed=2)


def test_top1_leaves_out_samples_that_have_no_largest_score() -> None:
    unknown = SCORES.copy()
    unknown[0, 0] = np.nan
    single = SCORES.astype(np.float32)
    assert count_top1([make_run(unknown, single, single)], "y") == Agreement(2, 2, 2)


def test_top1_counts_samples_of_which_a_mask_takes_out_classes() -> None:
    masked = SCORES.copy()
    masked[0, 0] = -np.inf
    single = masked.astype(np.float32)
    assert count_top1([make_run(masked, single, single)], "y") == Agreement(3, 3, 3)


@pytest.mark.parametrize(
    "values", [np.ones(4), np.ones((4, 1)), np.ones((2, 3, 4)), np.ones((4, 2), np.int64)]
)
def test_only_rows_of_scores_have_top1(values: Array) -> None:
    assert count_top1([make_run(values, values, values)], "y") is None
