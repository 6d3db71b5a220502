from collections.abc import Iterator
from http import HTTPStatus
from typing import get_args

import pytest

from serve.engine.errors import EngineError, QueueFullError
from serve.rejections import Fault
from serve.rest.errors import STATUS, make_error_response, status_of


def _below(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _below(child)


@pytest.mark.parametrize("kind", list(_below(EngineError)), ids=lambda kind: kind.__name__)
def test_every_error_of_the_engine_has_a_status(kind: type[EngineError]) -> None:
    assert 400 <= status_of(kind.__new__(kind)) <= 599


def test_every_fault_has_a_status() -> None:
    assert set(STATUS) == set(get_args(Fault))


def test_an_error_that_nobody_foresaw_is_the_servers() -> None:
    assert status_of(KeyError("x")) == HTTPStatus.INTERNAL_SERVER_ERROR


def test_an_errors_body_is_its_message() -> None:
    assert make_error_response(EngineError("what")).body == b'{"error":"what"}'


@pytest.mark.parametrize(("seconds", "header"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.2, "2")])
def test_retry_after_is_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    assert make_error_response(QueueFullError("full", seconds)).headers["retry-after"] == header
