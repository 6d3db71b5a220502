from typing import get_args

import pytest

from serve.access.errors import AccessError, ClientLimitError, KeyRequiredError, RoleRequiredError
from serve.engine.errors import InvalidInputError, QueueFullError
from serve.engine.metrics import Metrics, Reason
from serve.rejections import REASONS, count_rejection


def counted(metrics: Metrics) -> dict[str, float]:
    found = {
        reason: metrics.registry.get_sample_value("adaptact_requests_rejected_total", {"reason": reason})
        for reason in get_args(Reason)
    }
    return {reason: value for reason, value in found.items() if value is not None}


def test_every_reason_is_there_from_the_start_and_has_an_error(metrics: Metrics) -> None:
    assert counted(metrics) == dict.fromkeys(get_args(Reason), 0)
    assert set(REASONS.values()) == set(get_args(Reason))


@pytest.mark.parametrize("kind", AccessError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_whatever_keeps_a_request_out_has_a_reason(metrics: Metrics, kind: type[AccessError]) -> None:
    count_rejection(metrics, kind.__new__(kind))
    assert sum(counted(metrics).values()) == 1


def test_a_rejection_is_counted_by_what_it_was_for(metrics: Metrics) -> None:
    errors: list[Exception] = [QueueFullError(""), QueueFullError(""), ClientLimitError("", 1.0)]
    for error in [*errors, KeyRequiredError(""), RoleRequiredError("")]:
        count_rejection(metrics, error)
    found = {reason: value for reason, value in counted(metrics).items() if value}
    assert found == {"queue_full": 2, "client_limit": 1, "key": 1, "role": 1}


def test_a_request_that_was_answered_in_any_other_way_was_not_turned_away(metrics: Metrics) -> None:
    for error in (None, InvalidInputError(""), ValueError(), KeyboardInterrupt()):
        count_rejection(metrics, error)
    assert not any(counted(metrics).values())
