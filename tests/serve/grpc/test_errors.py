from asyncio import CancelledError
from typing import get_args

import pytest

from serve.access.errors import KeyRequiredError
from serve.engine import errors
from serve.engine.errors import EngineError
from serve.grpc.errors import CODE, CallRefusedError, code_of, number_of, write_refusal
from serve.grpc.handlers import _to_error_bytes
from serve.grpc.infer_messages import StreamResponse
from serve.grpc.status import StatusCode
from serve.rejections import Fault


def kinds(kind: type[EngineError] = EngineError) -> list[type[EngineError]]:
    return [each for child in kind.__subclasses__() for each in (child, *kinds(child))]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_of_the_engine_has_a_code(kind: type[EngineError]) -> None:
    error = CallRefusedError(StatusCode.INTERNAL, "") if kind is CallRefusedError else kind.__new__(kind)
    assert code_of(error) not in (StatusCode.OK, StatusCode.UNKNOWN)


def test_client_faults_differ_from_server_faults() -> None:
    assert code_of(errors.UnknownModelError("")) is StatusCode.NOT_FOUND
    assert code_of(errors.InvalidInputError("")) is StatusCode.INVALID_ARGUMENT
    assert code_of(errors.QueueFullError("")) is StatusCode.UNAVAILABLE
    assert code_of(KeyRequiredError("")) is StatusCode.UNAUTHENTICATED
    assert code_of(KeyError("")) is StatusCode.INTERNAL


def test_every_fault_has_a_code() -> None:
    assert set(CODE) == set(get_args(Fault))


def test_a_caller_who_went_away_is_no_error_of_the_servers() -> None:
    assert code_of(CancelledError()) is StatusCode.CANCELLED
    assert (number_of(None), number_of(CancelledError())) == (0, 1)


def test_an_error_in_an_experiment_says_whose_it_is() -> None:
    error = errors.InvalidInputError("no")
    assert b"x-adaptact-variant" not in write_refusal(error)
    said = {
        "adaptact_experiment": "exp",
        "adaptact_variant": "candidate",
        "adaptact_request_id": "r1",
    }
    error.reply_parameters = said
    error.reply_headers = ((b"x-adaptact-variant", b"candidate"), (b"x-adaptact-request-id", b"r1"))
    trailers = write_refusal(error)
    for text in (b"x-adaptact-variant", b"candidate", b"x-adaptact-request-id", b"r1"):
        assert text in trailers
    streamed = StreamResponse.FromString(_to_error_bytes(b"", error)).infer_response.parameters
    assert {name: value.string_param for name, value in streamed.items()} == said
