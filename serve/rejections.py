"""Why a request was turned away: the only table of reasons, for the doors to count by."""

from serve.access.errors import AccessError, ClientLimitError, KeyRequiredError
from serve.engine.errors import (
    DeadlineExceededError,
    DrainingError,
    EngineError,
    ModelUnavailableError,
    QueueFullError,
)
from serve.engine.metrics import Metrics, Reason

REASONS: dict[type[EngineError], Reason] = {
    QueueFullError: "queue_full",
    DeadlineExceededError: "deadline",
    DrainingError: "stopping",
    ModelUnavailableError: "unavailable",
    ClientLimitError: "client_limit",
    KeyRequiredError: "key",
    AccessError: "role",
}


def count_rejection(metrics: Metrics, error: BaseException | None) -> None:
    """Count the request by the nearest of its error's classes that has a reason; others are no rejections."""
    for kind in type(error).__mro__:
        if kind in REASONS:
            metrics.rejected.labels(REASONS[kind]).inc()
            return
