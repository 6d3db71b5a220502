"""Budgets: the losses that a file of fewer bits may have, strict unless the user names others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from convert.errors import UsageError

Precision = Literal["fp32", "fp16", "bf16", "int8", "weights-int8", "weights-int4"]


@dataclass(frozen=True, slots=True)
class Budgets:
    """The limits of three losses, all of which are kept: see docs/precision.md."""

    max_error: float
    """The largest error of a number, as a share of its output's scale."""
    min_agreement: float
    """The share of samples whose largest score stands where it does in the original."""
    max_accuracy_drop: float
    """The share of labelled samples that the file may get right less often than the original."""
    proves_drop: bool = False
    """Whether the whole 95 % interval of that share has to be within it, not only the measured value."""


_EIGHT_BITS = Budgets(max_error=0.05, min_agreement=0.98, max_accuracy_drop=0.005)
STRICT: Mapping[Precision, Budgets] = {
    "fp16": Budgets(max_error=0.01, min_agreement=0.99, max_accuracy_drop=0.005),
    "bf16": Budgets(max_error=0.01, min_agreement=0.99, max_accuracy_drop=0.005),
    "int8": _EIGHT_BITS,
    "weights-int8": _EIGHT_BITS,
    "weights-int4": _EIGHT_BITS,
}


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """The budgets that the user names; None for a strict one."""

    max_error: float | None = None
    min_agreement: float | None = None
    max_accuracy_drop: float | None = None

    def by_option(self) -> dict[str, float]:
        """The budgets that are named, by their option."""
        budgets = {
            "--max-error": self.max_error,
            "--min-agreement": self.min_agreement,
            "--max-accuracy-drop": self.max_accuracy_drop,
        }
        return {option: value for option, value in budgets.items() if value is not None}


def resolve_budgets(precision: Precision, options: BudgetOptions) -> Budgets:
    """The budgets of the precision: the user's, and strict ones for the others.

    A drop of accuracy that the user names is judged alone, unless others are named too. Raises UsageError for
    a budget that is no share from 0 to 1, and for any budget of fp32, which parity judges.
    """
    named = options.by_option()
    wrong = next((option for option, value in named.items() if not 0 <= value <= 1), None)
    if wrong is not None:
        raise UsageError(f"`{wrong} {named[wrong]:g}` is no share, expected 0 to 1")
    if precision == "fp32":
        if named:
            raise UsageError(
                f"`{next(iter(named))}` is a budget of fewer bits, and fp32 is judged by parity",
                hint="budgets are for a lower --precision; parity allows an output more by --tolerance",
            )
        return Budgets(0, 1, 0)
    strict = STRICT[precision]
    if options.max_accuracy_drop is not None:
        return Budgets(
            1.0 if options.max_error is None else options.max_error,
            options.min_agreement or 0.0,
            options.max_accuracy_drop,
            proves_drop=True,
        )
    return Budgets(
        strict.max_error if options.max_error is None else options.max_error,
        strict.min_agreement if options.min_agreement is None else options.min_agreement,
        strict.max_accuracy_drop,
    )
