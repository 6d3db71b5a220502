from typing import get_args

import pytest

from serve.access.errors import AccessError, ClientLimitError, KeyRequiredError, RoleRequiredError
from serve.engine.errors import EngineError, InvalidInputError, QueueFullError
from serve.engine.metrics import Metrics, Reason
from serve.rejections import FAULTS, REASONS, UNEXPECTED, Fault, client_message, count_rejection, fault_of


def below(kind: type[EngineError]) -> list[type[EngineError]]:
    return [each for child in kind.__subclasses__() for each in (child, *below(child))]


def counted(metrics: Metrics) -> dict[str, float]:
    found = {
        reason: metrics.registry.get_sample_value("adaptact_requests_rejected_total", {"reason": reason})
        for reason in get_args(Reason)
    }
    return {reason: value for reason, value in found.items() if value is not None}


@pytest.mark.parametrize("kind", below(EngineError), ids=lambda kind: kind.__name__)
def test_every_error_of_the_engine_has_its_word(kind: type[EngineError]) -> None:
    assert any(each in FAULTS for each in kind.__mro__)
    assert fault_of(kind.__new__(kind)) in get_args(Fault)


def test_every_word_is_some_errors() -> None:
    assert set(FAULTS.values()) == set(get_args(Fault))


def test_an_unexpected_error_stays_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert fault_of(KeyError("secret")) == "failed"
    assert client_message(KeyError("secret")) == UNEXPECTED
    assert "secret" in caplog.text
    assert client_message(InvalidInputError("why")) == "why"


def test_every_reason_is_there_from_the_start_and_has_an_error(metrics: Metrics) -> None:
    assert counted(metrics) == dict.fromkeys(get_args(Reason), 0)
    assert set(REASONS.values()) == set(get_args(Reason))


@pytest.mark.parametrize("kind", AccessError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_whatever_keeps_a_request_out_has_a_reason(metrics: Metrics, kind: type[AccessError]) -> None:
    count_rejection(metrics, kind.__new__(kind))
    assert sum(counted(metrics).values()) == 1


def test_a_rejection_is_counted_by_what_it_was_for(metrics: Metrics) -> None:
    errors: list[Exception] = [QueueFullError(""), QueueFullError(""), ClientLimitError("", 1.0)]
    for error in [*errors, KeyRequiredError(""), RoleRequiredError("", "")]:
        count_rejection(metrics, error)
    found = {reason: value for reason, value in counted(metrics).items() if value}
    assert found == {"queue_full": 2, "client_limit": 1, "key": 1, "role": 1}


def test_other_errors_do_not_count_as_rejections(metrics: Metrics) -> None:
    for error in (None, InvalidInputError(""), ValueError(), KeyboardInterrupt()):
        count_rejection(metrics, error)
    assert not any(counted(metrics).values())
