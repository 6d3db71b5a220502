import pytest
from grpc import StatusCode

from serve.access.errors import KeyRequiredError
from serve.engine import errors
from serve.engine.errors import EngineError
from serve.grpc.errors import CODE, UNEXPECTED, code_of, message_of


def kinds(kind: type[EngineError] = EngineError) -> list[type[EngineError]]:
    return [each for child in kind.__subclasses__() for each in (child, *kinds(child))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_engine_has_a_code(kind: type[EngineError]) -> None:
    assert any(each in CODE for each in kind.__mro__)
    assert code_of(kind.__new__(kind)) not in (StatusCode.OK, StatusCode.UNKNOWN)


def test_what_is_the_clients_own_fault_is_told_apart_from_what_is_not() -> None:
    assert code_of(errors.UnknownModelError("")) is StatusCode.NOT_FOUND
    assert code_of(errors.InvalidInputError("")) is StatusCode.INVALID_ARGUMENT
    assert code_of(errors.QueueFullError("")) is StatusCode.UNAVAILABLE
    assert code_of(KeyRequiredError("")) is StatusCode.UNAUTHENTICATED
    assert code_of(KeyError("")) is StatusCode.INTERNAL


def test_an_error_that_nobody_foresaw_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert message_of(KeyError("secret")) == UNEXPECTED
    assert "secret" in caplog.text
    assert message_of(errors.InvalidInputError("why")) == "why"
