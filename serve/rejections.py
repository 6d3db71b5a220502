"""The fault behind each error, which REST and gRPC map to their own status codes."""

import logging
from typing import Literal, TypeAlias, get_args

from serve.access.errors import AccessError, AuditError, ClientLimitError, KeyRequiredError
from serve.engine.errors import (
    AliasError,
    ConfigError,
    DeadlineExceededError,
    DrainingError,
    EngineError,
    InvalidInputError,
    MalformedRequestError,
    ModelRefusedError,
    ModelUnavailableError,
    ModelUnloadedError,
    NotExpressibleError,
    QueueFullError,
    RegionError,
    RunFailedError,
    StartupError,
    UnknownModelError,
    UnsupportedError,
)
from serve.engine.metrics import Metrics, Reason
from serve.experiments.errors import (
    DefinitionError,
    ExperimentError,
    FeedbackError,
    IncompatibleVariantsError,
    StageError,
    StoreError,
    UnfitVariantsError,
    UnknownExperimentError,
)
from serve.protocol.compression import TooLargeUncompressedError
from serve.shared.channel import ChannelClosedError

log = logging.getLogger("adaptact")

Fault: TypeAlias = Literal[
    "unknown",
    "unavailable",
    "late",
    "invalid",
    "conflict",
    "too_large",
    "refused",
    "unsupported",
    "failed",
    "key",
    "role",
    "too_often",
]
"""What was wrong, in one word, for a status code."""

FAULTS: dict[type[EngineError], Fault] = {
    UnknownModelError: "unknown",
    ModelUnavailableError: "unavailable",
    QueueFullError: "unavailable",
    DrainingError: "unavailable",
    ChannelClosedError: "unavailable",
    AuditError: "unavailable",
    StartupError: "unavailable",
    DeadlineExceededError: "late",
    AliasError: "invalid",
    ConfigError: "invalid",
    InvalidInputError: "invalid",
    MalformedRequestError: "invalid",
    NotExpressibleError: "invalid",
    RegionError: "invalid",
    DefinitionError: "invalid",
    IncompatibleVariantsError: "invalid",
    FeedbackError: "invalid",
    UnfitVariantsError: "conflict",
    UnknownExperimentError: "unknown",
    StageError: "conflict",
    StoreError: "unavailable",
    ExperimentError: "failed",
    TooLargeUncompressedError: "too_large",
    ModelRefusedError: "refused",
    UnsupportedError: "unsupported",
    RunFailedError: "failed",
    KeyRequiredError: "key",
    AccessError: "role",
    ClientLimitError: "too_often",
}
# The errors that count as rejections, and the metric's label of each.
REASONS: dict[type[EngineError], Reason] = {
    QueueFullError: "queue_full",
    DeadlineExceededError: "deadline",
    DrainingError: "stopping",
    ModelUnavailableError: "unavailable",
    ClientLimitError: "client_limit",
    KeyRequiredError: "key",
    AccessError: "role",
    AuditError: "unavailable",
}
UNEXPECTED = "something went wrong in the server; its log says what"


def fault_of(error: BaseException) -> Fault:
    """The fault of the nearest of the error's classes that has one; `failed` for an unexpected error."""
    for kind in type(error).__mro__:
        if kind in FAULTS:
            return FAULTS[kind]
    return "failed"


def fault_number(error: BaseException) -> int:
    """A number of the error's fault, from 1."""
    return 1 + get_args(Fault).index(fault_of(error))


def client_message(error: Exception) -> str:
    """The message for the client; an unexpected error goes to the log, and its client gets UNEXPECTED."""
    if isinstance(error, EngineError):
        return str(error)
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED


def retry_after_seconds(error: Exception) -> float | None:
    """When the same request may succeed; None where waiting does not help."""
    kinds = QueueFullError | ClientLimitError | ModelUnloadedError
    return error.retry_after_seconds if isinstance(error, kinds) else None


def count_rejection(metrics: Metrics, error: BaseException | None) -> None:
    """Count the error as a rejection, if one of its classes has a reason; the nearest one counts."""
    for kind in type(error).__mro__:
        if kind in REASONS:
            metrics.rejected.labels(REASONS[kind]).inc()
            return
