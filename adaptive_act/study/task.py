"""What the models of a study learn, classes or numbers: the loss, the scores, and how these are written."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptact.languages.catalogue import mark
from adaptact.languages.spoken import say
from adaptive_act.study.statistics import calibration_error


@dataclass(frozen=True, slots=True)
class Scores:
    """A model's scores on samples; the task says which they are."""

    score: float
    """What variants are compared by; the higher, the better."""
    loss: float
    error: float


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number is, and how it is written."""

    name: str
    form: str
    is_share: bool = False
    """Whether it lies between 0 and 1, and is written in per cent."""

    @property
    def scale(self) -> int:
        """By what it is multiplied where it is written."""
        return 100 if self.is_share else 1

    @property
    def title(self) -> str:
        """Its name at the start of a sentence."""
        name = say(self.name)
        return name[0].upper() + name[1:]

    @property
    def label(self) -> str:
        """Its name with its unit."""
        return f"{say(self.name)}, %" if self.is_share else say(self.name)

    def write(self, value: float, sign: str = "") -> str:
        """The value without a unit; `sign` is "+" for differences."""
        return f"{self.scale * value:{sign}{self.form}}"

    @property
    def unit_of_differences(self) -> str:
        """The unit in which two of them differ."""
        return say("percentage points") if self.is_share else say(self.name)


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of target, and what is computed from it."""

    name: str
    score: Metric
    loss: Metric
    error: Metric
    better: str
    """What a model with the higher score is."""
    worse: str
    compute_loss: Callable[[Tensor, Tensor], Tensor]
    """The training loss of outputs [n, classes] or [n, 1] on targets [n]."""
    measure: Callable[[Tensor, Tensor], Scores]
    """The scores of such outputs."""


def measure_classes(outputs: Tensor, targets: Tensor) -> Scores:
    """The scores of logits [n, classes] on labels [n]; an answer of NaN counts as class 0."""
    return Scores(
        score=float((outputs.argmax(1) == targets).double().mean()),
        loss=float(F.cross_entropy(outputs, targets)),
        error=calibration_error(outputs, targets),
    )


def measure_numbers(outputs: Tensor, targets: Tensor) -> Scores:
    """The scores of outputs [n, 1] on targets [n]; for R² an output that is not finite counts as the mean.

    R² = 1 - mean squared error / variance of the targets: 1 is exact, 0 no better than their mean.
    """
    answers, wanted = outputs.double().squeeze(1), targets.double()
    finite = torch.where(answers.isfinite(), answers, wanted.mean())
    unexplained = (finite - wanted).square().mean() / wanted.var(correction=0)
    return Scores(
        score=float(1 - unexplained),
        loss=float((answers - wanted).square().mean()),
        error=float((answers - wanted).abs().mean()),
    )


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs.squeeze(1), targets)


CLASSIFICATION = Task(
    name="classification",
    score=Metric(mark("accuracy"), ".2f", is_share=True),
    loss=Metric(mark("cross-entropy"), ".3f"),
    error=Metric(mark("ECE"), ".2f", is_share=True),
    better=mark("more accurate"),
    worse=mark("less accurate"),
    compute_loss=F.cross_entropy,
    measure=measure_classes,
)
REGRESSION = Task(
    name="regression",
    score=Metric(mark("R²"), ".3f"),
    loss=Metric(mark("MSE"), ".4g"),
    error=Metric(mark("MAE"), ".4g"),
    better=mark("better"),
    worse=mark("worse"),
    compute_loss=_squared_error,
    measure=measure_numbers,
)
