"""What each error means to whoever asked: the only table, of which each door has its own words."""

import logging
from typing import Literal, TypeAlias

from serve.access.errors import AccessError, ClientLimitError, KeyRequiredError
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
    NotExpressibleError,
    QueueFullError,
    RunFailedError,
    StartupError,
    UnknownModelError,
    UnsupportedError,
)
from serve.engine.metrics import Metrics, Reason
from serve.protocol.compression import TooLargeUncompressedError
from serve.shared.channel import ChannelClosedError

log = logging.getLogger("adaptact")

Fault: TypeAlias = Literal[
    "unknown",
    "unavailable",
    "late",
    "invalid",
    "too_large",
    "refused",
    "unsupported",
    "failed",
    "key",
    "role",
    "too_often",
]
"""What was wrong, in a word: as much as a status can say."""

FAULTS: dict[type[EngineError], Fault] = {
    UnknownModelError: "unknown",
    ModelUnavailableError: "unavailable",
    QueueFullError: "unavailable",
    DrainingError: "unavailable",
    ChannelClosedError: "unavailable",
    StartupError: "unavailable",
    DeadlineExceededError: "late",
    AliasError: "invalid",
    ConfigError: "invalid",
    InvalidInputError: "invalid",
    MalformedRequestError: "invalid",
    NotExpressibleError: "invalid",
    TooLargeUncompressedError: "too_large",
    ModelRefusedError: "refused",
    UnsupportedError: "unsupported",
    RunFailedError: "failed",
    KeyRequiredError: "key",
    AccessError: "role",
    ClientLimitError: "too_often",
}
# Of those, the requests that count as turned away, and what for.
REASONS: dict[type[EngineError], Reason] = {
    QueueFullError: "queue_full",
    DeadlineExceededError: "deadline",
    DrainingError: "stopping",
    ModelUnavailableError: "unavailable",
    ClientLimitError: "client_limit",
    KeyRequiredError: "key",
    AccessError: "role",
}
UNEXPECTED = "something went wrong in the server; its log says what"


def fault_of(error: BaseException) -> Fault:
    """The word of the nearest of the error's classes that has one; `failed` of one that nobody foresaw."""
    for kind in type(error).__mro__:
        if kind in FAULTS:
            return FAULTS[kind]
    return "failed"


def client_message(error: Exception) -> str:
    """What the client is told; of an error that nobody foresaw nothing but that, and the log has the rest."""
    if isinstance(error, EngineError):
        return str(error)
    log.error("unexpected error", exc_info=error)
    return UNEXPECTED


def retry_after_seconds(error: Exception) -> float | None:
    """When the same request may succeed; None for what time alone does not change."""
    return error.retry_after_seconds if isinstance(error, QueueFullError | ClientLimitError) else None


def count_rejection(metrics: Metrics, error: BaseException | None) -> None:
    """Count the request by the nearest of its error's classes that has a reason; others are no rejections."""
    for kind in type(error).__mro__:
        if kind in REASONS:
            metrics.rejected.labels(REASONS[kind]).inc()
            return
