"""What the user asks of the front: which of its files, for which target, and for how long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from convert.errors import UsageError
from convert.model_io.inputs import InputSpec
from convert.precision.budgets import BudgetOptions, Budgets
from convert.tuning.tune import MOST_SECONDS, TuningOptions

FrontRule = Literal["fastest", "knee"]
SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class FrontOptions:
    """`fastest` is the fastest file that keeps the budgets, `knee` the one at the knee of the front.

    Raises UsageError for a time out of range.
    """

    rule: FrontRule
    target: TuningOptions
    """The threads and batches that files are timed with."""
    seconds: float = SECONDS
    """When no further place or file is begun, after the two ends of the front, which are always measured."""

    def __post_init__(self) -> None:
        if self.rule not in get_args(FrontRule):
            raise UsageError(f"`--front` is `{self.rule}`, expected one of: {', '.join(get_args(FrontRule))}")
        if not (math.isfinite(self.seconds) and 0 < self.seconds <= MOST_SECONDS):
            raise UsageError(f"`--front-seconds` is {self.seconds:g}, expected above 0 to {MOST_SECONDS:g}")

    def with_batches(self, inputs: Sequence[InputSpec]) -> "FrontOptions":
        """The options with batches that the inputs take. Raises UsageError where they take no such batch."""
        return replace(self, target=self.target.with_batches(inputs))

    def judge_by(self, budgets: Budgets, named: BudgetOptions) -> Budgets:
        """The budgets of the file: those of the precision, or at the knee those alone that the user names."""
        if self.rule == "fastest":
            return budgets
        return replace(
            budgets,
            max_error=1.0 if named.max_error is None else budgets.max_error,
            min_agreement=0.0 if named.min_agreement is None else budgets.min_agreement,
            max_accuracy_drop=1.0 if named.max_accuracy_drop is None else budgets.max_accuracy_drop,
        )
