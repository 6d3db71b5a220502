"""The errors of experiments, independent of HTTP and gRPC.

ExperimentError                    (an EngineError)
├── DefinitionError                a definition with mistakes, each with its place
├── IncompatibleVariantsError      a candidate that does not take or give what the control does
├── UnfitVariantsError             versions that cannot run as the experiment needs them
├── UnknownExperimentError         no such experiment
├── StageError                     an act that the experiment's present stage does not allow
├── FeedbackError                  an outcome that cannot be accepted
└── StoreError                     the store cannot be opened, read or written
"""

from collections.abc import Sequence
from dataclasses import dataclass

from serve.engine.errors import EngineError, quote, quote_names


class ExperimentError(EngineError):
    """The root: every message is one line, safe to show to a client."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of a definition: where it is, what was expected, what is there, what to do.

    `field` is a path such as `metrics[0].kind`; empty for the definition as a whole. `file` is empty and
    `line` and `column` (from 1) are 0 where they are not known. `got` and `expected` are ready to be shown.
    """

    field: str
    expected: str
    got: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """One line: `file:line:column: field: expected ..., got ...; what to do`."""
        numbers = f":{self.line}:{self.column}" if self.line else ""
        place = f"{self.file or 'line'}{numbers}: " if self.file or numbers else ""
        field = f"`{self.field}`: " if self.field else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"{place}{field}expected {self.expected}, got {self.got}{hint}"


class DefinitionError(ExperimentError):
    """A definition with mistakes; the message is the first one and says how many follow."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        others = len(self.mistakes) - 1
        more = f"; and {others} more" if others else ""
        super().__init__(f"{self.mistakes[0]}{more}")


class IncompatibleVariantsError(ExperimentError):
    """Variants whose models differ in their inputs or outputs; the message names the first difference."""


class UnfitVariantsError(ExperimentError):
    """Versions that do not answer, are not those that the comparison began with, or are no roll-back."""


class UnknownExperimentError(ExperimentError):
    """An experiment that is not defined."""

    def __init__(self, name: object, known: Sequence[str] = ()) -> None:
        super().__init__(f"there is no experiment {quote(name)}; known: {quote_names(list(known))}")


class StageError(ExperimentError):
    """An act that the present stage does not allow; `possible` are those that it does."""

    def __init__(self, message: str, possible: Sequence[str] = ()) -> None:
        self.possible = tuple(possible)
        super().__init__(f"{message}; possible now: {quote_names(list(self.possible))}")


class FeedbackError(ExperimentError):
    """An outcome that names neither a request nor a unit, or whose metric, value or time is not valid."""


class StoreError(ExperimentError):
    """A store that cannot be opened, read or written, or whose format is newer than this program."""
