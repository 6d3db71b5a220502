"""What is kept of an answer: whether it is finite, its most probable class, and the score of that class."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from serve.engine.signature import Array


class AnswerSummary(NamedTuple):
    """One answer; of several rows, the class and the score are those of the first."""

    has_nan: bool = False
    """Whether a number in it is NaN or infinite."""
    top1: int | None = None
    """The first of the highest scores, of an output [rows, scores]; None for any other."""
    confidence: float | None = None
    """That score, or the number of an output [rows] or []; None where it is not finite, or there is none."""


def summarise_answers(answers: Sequence[Sequence[Array]]) -> list[AnswerSummary]:
    """The summary of each answer, which is the outputs of a run; the class is of the first numeric output.

    Answers of one shape are summed up together, which takes a tenth of the time.
    """
    summaries = [AnswerSummary()] * len(answers)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, outputs in enumerate(answers):
        groups[tuple((array.dtype, array.shape) for array in outputs)].append(place)
    for places in groups.values():
        outputs = [np.stack(arrays) for arrays in zip(*(answers[place] for place in places), strict=True)]
        for place, summary in zip(places, _summarise_equal(outputs, len(places)), strict=True):
            summaries[place] = summary
    return summaries


def _summarise_equal(outputs: Iterable[Array], count: int) -> Iterable[AnswerSummary]:
    """Of `count` answers, along the first axis of each output."""
    has_nan = np.zeros(count, np.bool_)
    scores = None
    for array in outputs:
        if array.dtype.kind in "fc":
            has_nan |= ~np.isfinite(array.reshape(count, -1)).all(axis=1)
        if scores is None and array.dtype.kind in "fiu" and array.size:
            scores = _first_scores(array, count)
    if scores is None:
        return (AnswerSummary(bool(flag)) for flag in has_nan)
    # The place of NaN, if there is one, is no class; `has_nan` says so.
    best = np.argmax(scores, axis=1)
    values = scores[np.arange(count), best].astype(np.float64)
    is_class = scores.shape[1] > 1
    return (
        AnswerSummary(
            bool(flag),
            int(index) if is_class and finite else None,
            float(value) if finite else None,
        )
        for flag, index, value, finite in zip(has_nan, best, values, np.isfinite(values), strict=True)
    )


def _first_scores(array: Array, count: int) -> Array | None:
    """The first row's scores of each answer, [count, scores]; None for images, sequences and the like."""
    if array.ndim > 3:
        return None
    return array[:, 0] if array.ndim == 3 else array.reshape(count, -1)[:, :1]
