"""Errors of the console.

AdaptactError
├── OutputError     a result cannot be printed, or a file cannot be written
├── ClosedPipeError whoever read what is printed has gone
├── UsageError      an option cannot be meant as it stands
├── ClusterError    a cluster that is not there, or lost
└── ProviderError   an execution provider of ONNX Runtime cannot be used here
    └── UnsuitableModelError  it can, but not for this model
"""

from adaptact.text import escape


class AdaptactError(Exception):
    """The root of this package's errors; its text fits on a terminal."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(escape(message))
        self.hint = hint if hint is None else escape(hint)


class OutputError(AdaptactError):
    """A result cannot be printed, or a file cannot be written."""


class ClosedPipeError(AdaptactError):
    """Whoever read what is printed has gone, as `head` does once it has its lines."""


class UsageError(AdaptactError):
    """An option cannot be meant as it stands."""


class ClusterError(AdaptactError):
    """A cluster that is not there, is lost, or cannot do a task."""


class ProviderError(AdaptactError):
    """An execution provider of ONNX Runtime cannot be used here, or not as it was asked for."""


class UnsuitableModelError(ProviderError):
    """The provider would compute something else than this model's graph says."""
