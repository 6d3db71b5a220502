"""What is kept of an answer: whether it is finite, its most probable class, and the score of that class."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

import numpy as np

from serve.engine.signature import Array


class AnswerSummary(NamedTuple):
    """One answer; of several rows, the class and the score are those of one, which the request's id chooses.

    It is the same row for every variant, and any row as often as another. So the share of requests whose
    variants agree is the share of rows, though requests are counted, which do not depend on each other.
    """

    has_nan: bool = False
    """Whether a number in it is NaN or infinite."""
    top1: int | None = None
    """The first of the highest scores, of an output [rows, scores]; None for any other."""
    confidence: float | None = None
    """That score, or the number of an output [rows] or []; None where it is not finite, or there is none."""


def choose_row(request_id: str) -> int:
    """The row of a request that is looked at, counted from 0 and beyond the last one again from 0."""
    return crc32(request_id.encode())


def summarise_answers(
    answers: Sequence[Sequence[Array]], chosen: Sequence[int] | None = None
) -> list[AnswerSummary]:
    """The summary of each answer, which is the outputs of a run; the class is of the first numeric output.

    `chosen` are the rows as of `choose_row`, by default the first ones.
    Answers of one shape are summed up together, which takes a tenth of the time.
    """
    summaries = [AnswerSummary()] * len(answers)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, outputs in enumerate(answers):
        groups[tuple((array.dtype, array.shape) for array in outputs)].append(place)
    for places in groups.values():
        outputs = [np.stack(arrays) for arrays in zip(*(answers[place] for place in places), strict=True)]
        rows = np.array([chosen[place] for place in places] if chosen else [0] * len(places))
        for place, summary in zip(places, _summarise_equal(outputs, rows), strict=True):
            summaries[place] = summary
    return summaries


def _summarise_equal(outputs: Iterable[Array], rows: Array) -> Iterable[AnswerSummary]:
    """Of as many answers as chosen rows, along the first axis of each output."""
    count = len(rows)
    has_nan = np.zeros(count, np.bool_)
    scores = None
    for array in outputs:
        if array.dtype.kind in "fc":
            has_nan |= ~np.isfinite(array.reshape(count, -1)).all(axis=1)
        if scores is None and array.dtype.kind in "fiu" and array.size:
            scores = _choose_scores(array, rows)
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


def _choose_scores(array: Array, rows: Array) -> Array | None:
    """The chosen row's scores of each answer, [count, scores]; None for images, sequences and the like."""
    if array.ndim > 3:
        return None
    count = len(rows)
    scores: Array = array if array.ndim == 3 else array.reshape(count, -1, 1)
    chosen: Array = scores[np.arange(count), rows % scores.shape[1]]
    return chosen
