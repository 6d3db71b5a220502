"""The exceptions of adaptive_act.

AdaptiveActError
├── SwapError            the model could not be given the activations that were asked for
│   └── FixedPointError  the activation never equals the one it should replace
├── FactoryError         the code that builds a model is missing, unmarked or failed
├── ExplainError         what was asked cannot be measured on this model and these data
├── DivergedError        training diverged again and again, and was stopped at its last good state
├── LibraryError         another library is missing, or has no such model
├── CheckpointError      the file is not a checkpoint that this version can read
├── DataError            the data of a study are missing, damaged, foreign or too large
└── StudyError           a study cannot be carried out as it was asked for
"""


class AdaptiveActError(Exception):
    """The root of this package's errors."""


class SwapError(AdaptiveActError):
    """The model could not be given the activations that were asked for."""


class FixedPointError(SwapError):
    """The activation has no parameter values at which it equals the one it should replace."""


class FactoryError(AdaptiveActError):
    """The code that builds a model is missing, is not marked as a factory, or failed."""


class CheckpointError(AdaptiveActError):
    """The file is not a checkpoint that this version can read."""


class DivergedError(AdaptiveActError):
    """Training diverged again after every try to steady it; the model stands at its last good state."""


class LibraryError(AdaptiveActError):
    """Another library is missing, has no such model, or its description of the model is not one."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ExplainError(AdaptiveActError):
    """What was asked cannot be measured on this model and these data."""


class DataError(AdaptiveActError):
    """The data of a study are missing, damaged, of another format, or ask for too much memory."""


class StudyError(AdaptiveActError):
    """A study cannot be carried out as it was asked for, or a run of it failed."""
