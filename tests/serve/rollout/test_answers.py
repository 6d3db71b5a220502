import numpy as np
import pytest

from serve.engine.signature import Array
from serve.rollout.answers import AnswerSummary, choose_row, summarise_answers

NAN, INF = float("nan"), float("inf")


def scores(*rows: list[float], dtype: type = np.float32) -> Array:
    return np.array(rows, dtype)


@pytest.mark.parametrize(
    ("outputs", "summary"),
    [
        ([scores([0.1, 0.7, 0.2])], (False, 1, np.float32(0.7))),
        ([scores([1, 3], [9, 0])], (False, 1, 3.0)),
        ([scores([2, 2])], (False, 0, 2.0)),
        ([scores([0.25])], (False, None, 0.25)),
        ([np.array([7.0, 8.0])], (False, None, 7.0)),
        ([np.array(5, np.int64)], (False, None, 5.0)),
        ([np.zeros((1, 2, 3), np.float32)], (False, None, None)),
        ([scores([NAN, 1])], (True, None, None)),
        ([scores([-INF, 1])], (True, 1, 1.0)),
        ([scores([1], [NAN])], (True, None, 1.0)),
        ([np.zeros((0, 3), np.float32)], (False, None, None)),
        ([np.array([["a", "b"]], np.object_)], (False, None, None)),
        ([np.array([["a"]], np.object_), scores([0, 4])], (False, 1, 4.0)),
        ([scores([0, 4]), scores([INF])], (True, 1, 4.0)),
        ([np.array([[True, False]])], (False, None, None)),
        ([], (False, None, None)),
    ],
)
def test_an_answer_is_its_class_its_score_and_whether_it_is_finite(
    outputs: list[Array], summary: tuple[bool, int | None, float | None]
) -> None:
    assert summarise_answers([outputs]) == [AnswerSummary(*summary)]


def test_answers_of_many_shapes_keep_their_order() -> None:
    generator = np.random.default_rng(0)
    answers = [
        [generator.normal(size=(rows, width)).astype(np.float32)]
        for rows, width in zip(*generator.integers(1, 4, (2, 60)), strict=True)
    ]
    together = summarise_answers(answers)
    assert together == [summarise_answers([answer])[0] for answer in answers]
    for (output,), summary in zip(answers, together, strict=True):
        assert summary.confidence == output[0].max()


def test_no_answers_have_no_summaries() -> None:
    assert summarise_answers([]) == []


def test_all_rows_of_batches_are_compared_each_as_often() -> None:
    control = [scores([1, 0], [1, 0], [1, 0])] * 3000
    candidate = [scores([1, 0], [0, 1], [0, 1])] * 3000
    rows = [choose_row(f"r{number}") for number in range(3000)]
    pairs = zip(
        summarise_answers([[each] for each in control], rows),
        summarise_answers([[each] for each in candidate], rows),
        strict=True,
    )
    agreement = sum(one.top1 == other.top1 for one, other in pairs) / 3000
    assert agreement == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("row", [0, 1, 2, 3, 4, 2**32 - 1])
def test_the_chosen_row_counts_from_the_first_again_beyond_the_last(row: int) -> None:
    batch = [scores([9, 0], [0, 8], [7, 0])]
    assert summarise_answers([batch], [row])[0].confidence == [9, 8, 7][row % 3]
    assert summarise_answers([[np.array([1.0, 2.0, 3.0])]], [row])[0].confidence == 1 + row % 3
