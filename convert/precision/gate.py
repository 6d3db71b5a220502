"""The gate of a file of fewer bits: its losses against the original model, and whether they are too large.

The reference is the original model in float64, as for parity. On typical samples only, the gate judges:

* of every output of real numbers, the largest |file − float64| as a share of the output's scale, its largest
  magnitude on these samples;
* of rows of scores, how often the largest stands where it does in float64, of whole numbers, how many are
  equal;
* where samples have labels, how many fewer of them the file gets right than the original.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convert.errors import PrecisionError, UsageError
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.undecided import mark_largest
from convert.parity.verify import Original
from convert.precision.accuracy import Accuracy
from convert.precision.budgets import Budgets

RANKED_SAMPLES = 256
"""The samples that sites are ranked on: enough to order them, since each site takes a run of its own."""
_ADVICE = (
    "allow more by the option in brackets, if that is what the model can lose; for int8 give more data like "
    "those it will meet (--calibration, --samples); or take --precision fp16 or fp32"
)
_LARGEST_ROUNDED = 1 - 2.0**-7
"""bfloat16 holds 1 − 2⁻⁸ of the largest number of float32."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of one output, as shares of its scale. Whole numbers have no error, only agreement."""

    output: str
    scale: float
    largest: float
    mean_square: float
    agreed: int | None
    """None where the output is neither whole numbers nor rows of scores that are judged."""
    compared: int
    is_whole: bool = False
    """Whether the output is whole numbers."""

    @property
    def agreement(self) -> float | None:
        """The share that agreed."""
        return None if self.agreed is None or not self.compared else self.agreed / self.compared

    @property
    def squared_error(self) -> float:
        """The mean squared error; a whole number that differs counts as off by 1."""
        return 1 - self.agreement if self.is_whole and self.agreement is not None else self.mean_square


@dataclass(frozen=True, slots=True)
class LossReport:
    """The losses of a file on some samples."""

    samples: int
    losses: tuple[Loss, ...]
    accuracy: Accuracy | None

    @property
    def mean_square(self) -> float:
        """The mean squared error of all outputs together, by which sites are ranked."""
        return sum(loss.squared_error for loss in self.losses)

    @property
    def largest(self) -> float:
        """The largest error of any output, as a share of its scale."""
        return max((loss.largest for loss in self.losses), default=0.0)

    def list_overspent(self, budgets: Budgets) -> list[str]:
        """A line for each budget that is exceeded, with the output, the loss and the limit."""
        lines = [line for loss in self.losses for line in _find_overspent(loss, budgets)]
        if self.accuracy is not None:
            limit, proves = budgets.max_accuracy_drop, budgets.proves_drop
            lines += filter(None, [self.accuracy.find_overspent(limit, proves=proves)])
        return lines


def _find_overspent(loss: Loss, budgets: Budgets) -> list[str]:
    lines = []
    if not loss.largest <= budgets.max_error:
        lines.append(
            f"output `{loss.output}` is off by {loss.largest:.2%} of its scale, allowed "
            f"{budgets.max_error:.2%} (--max-error)"
        )
    if loss.agreement is not None and loss.agreement < budgets.min_agreement:
        lines.append(
            f"output `{loss.output}` agrees on {loss.agreed} of {loss.compared}, {loss.agreement:.2%}, "
            f"expected at least {budgets.min_agreement:.2%} (--min-agreement)"
        )
    return lines


AnswerPair = tuple[Mapping[str, Array], Mapping[str, Array]]
"""The original's outputs on one set, in float64 and in its own precision."""


class Gate:
    """Measures files against the original's answers to the samples, which are computed once.

    `answers` are those answers if they are known; `scores` says whether the agreement of scores is judged.
    """

    def __init__(
        self,
        original: Original,
        sets: Sequence[SampleSet],
        labels: Array | None = None,
        provider: str = "cpu",
        answers: Sequence[AnswerPair] | None = None,
        *,
        scores: bool = True,
    ) -> None:
        self.sets = tuple(sets)
        self.labels = labels
        self.provider = provider
        self.scores = scores
        self._original = original
        self._answers = (
            [original.answer_once(samples) for samples in self.sets] if answers is None else answers
        )
        self._reference = _join([reference for reference, _ in self._answers])
        self._own = _join([own for _, own in self._answers])
        self._scored = None if labels is None else _find_scored_output(self._reference, labels)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return count_samples(self.sets)

    def measure(self, session: Session) -> LossReport:
        """The losses of the file in the session."""
        file = _join([session.run(samples.arrays) for samples in self.sets])
        losses = tuple(self._measure_loss(output, file[output]) for output in self._reference)
        return LossReport(self.samples, losses, self._measure_accuracy(file))

    def make_ranking_gate(self) -> "Gate":
        """A gate on the first samples alone, RANKED_SAMPLES or a batch more, and without labels."""
        places = np.cumsum([count_samples([samples]) for samples in self.sets])
        sets = int(np.searchsorted(places, RANKED_SAMPLES)) + 1
        first = self._answers[:sets]
        return Gate(self._original, self.sets[:sets], None, self.provider, first, scores=self.scores)

    def _measure_loss(self, output: str, file: Array) -> Loss:
        reference, own = self._reference[output], self._own[output]
        if file.shape != reference.shape:
            return Loss(output, 0.0, np.inf, np.inf, None, 0)
        if own.dtype.kind != "f":
            return Loss(output, 1.0, 0.0, 0.0, int((file == own).sum()), own.size, is_whole=True)
        limit = float(np.finfo(own.dtype).max) * _LARGEST_ROUNDED
        reference, own, file = (mark_largest(values, own.dtype) for values in (reference, own, file))
        judged = np.isfinite(reference) & np.isfinite(own)
        if not judged.any() and own.size:
            return Loss(output, 0.0, np.inf, np.inf, None, 0)
        masked = np.isinf(reference) & (own == reference)
        scale = float(np.abs(np.where(judged, reference, 0)).max(initial=0)) or 1.0
        with np.errstate(over="ignore", invalid="ignore"):
            errors = np.abs(file.astype(np.float64) - reference)[judged] / scale
        errors = np.where(np.isfinite(errors), errors, np.inf)
        if not (np.sign(own[masked]) * file[masked] >= limit).all():
            errors = np.append(errors, np.inf)
        agreed, compared = _agreement(reference, file) if self.scores else (None, 0)
        return Loss(
            output,
            scale,
            float(errors.max(initial=0)),
            float(np.square(errors).mean()) if errors.size else 0.0,
            agreed,
            compared,
        )

    def _measure_accuracy(self, file: Mapping[str, Array]) -> Accuracy | None:
        if self.labels is None or self._scored is None:
            return None
        before = _find_right(self._own[self._scored], self.labels)
        after = _find_right(file[self._scored], self.labels)
        return Accuracy(
            self._scored,
            len(self.labels),
            original=int(before.sum()),
            file=int(after.sum()),
            lost=int((before & ~after).sum()),
            gained=int((after & ~before).sum()),
        )


def require_passed(precision: str, report: LossReport, budgets: Budgets, also: str = "") -> None:
    """Raises PrecisionError, with every budget that is not kept, unless all are."""
    lines = report.list_overspent(budgets)
    if lines:
        raise PrecisionError(f"{precision} failed its gate{also}: {'; '.join(lines)}", hint=_ADVICE)


def _agreement(reference: Array, file: Array) -> tuple[int | None, int]:
    if reference.ndim != 2 or reference.shape[1] < 2:
        return None, 0
    known = ~np.isnan(reference).any(1)
    same = ~np.isnan(file).any(1) & (file.argmax(1) == reference.argmax(1))
    return int((known & same).sum()), int(known.sum())


def _find_right(scores: Array, labels: Array) -> Array:
    """Whether the largest score of each sample is its label's; of none where a score is NaN."""
    if scores.ndim != 2 or len(scores) != len(labels):
        return np.zeros(labels.shape, bool)
    right: Array = (scores.argmax(1) == labels) & ~np.isnan(scores).any(1)
    return right


def _find_scored_output(reference: Mapping[str, Array], labels: Array) -> str:
    """The output that the labels belong to: the only one with a row of scores for each of them."""
    classes = int(labels.max(initial=0)) + 1
    scores = [
        name
        for name, values in reference.items()
        if values.ndim == 2
        and values.dtype.kind == "f"
        and len(values) == len(labels)
        and values.shape[1] >= max(classes, 2)
    ]
    if len(scores) != 1:
        raise UsageError(
            f"{len(labels)} labels go up to {classes - 1}, and {len(scores)} outputs have a row of as many "
            f"scores for each: {scores or list(reference)}; expected one",
            hint="leave the array `labels` out, and judge by --max-error and --min-agreement",
        )
    return scores[0]


def _join(runs: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Each output of all runs, one after the other, as far as their shapes allow."""
    return {name: _stack([run[name] for run in runs]) for name in runs[0]}


def _stack(parts: Sequence[Array]) -> Array:
    if all(part.ndim and part.shape[1:] == parts[0].shape[1:] for part in parts):
        return np.concatenate(parts)
    return np.concatenate([part.reshape(-1) for part in parts])


def count_samples(sets: Sequence[SampleSet]) -> int:
    """The samples of all sets."""
    return sum(samples.arrays[0].shape[0] if samples.arrays[0].ndim else 1 for samples in sets)
