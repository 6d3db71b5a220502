from collections.abc import Callable
from typing import Any

import pytest

from serve.client import (
    ClientError,
    InvalidInputError,
    OverloadedError,
    Retry,
    TimedOutError,
    UnavailableError,
    UnreachableError,
    calls,
)
from serve.client.calls import ClientCall, Reply
from serve.client.retry import Failure, Pause, Send, Surroundings, conversation

READ = Reply(200, {}, bytearray(b'{"name": "s", "version": "1", "extensions": []}'))
REFUSED = Failure("refused", connected=False)
CUT = Failure("cut", connected=True)


def reply(status: int, text: bytes = b'{"error": "why"}', **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, bytearray(text))


class Clock:
    """A time that passes only in pauses and while a request is under way."""

    def __init__(self, request_seconds: float = 0.0) -> None:
        self.seconds = 100.0
        self.request_seconds = request_seconds

    def world(self, random: Callable[[], float] = lambda: 1.0) -> Surroundings:
        return Surroundings(lambda: self.seconds, lambda: 1e9, random)


def talk(
    call: ClientCall[Any],
    came: list[Reply | Failure],
    retry: Retry = Retry(first_seconds=1.0),  # noqa: B008  # frozen
    timeout_seconds: float | None = None,
    clock: Clock | None = None,
) -> tuple[object, list[float]]:
    """What the conversation ends with, and the pauses that it took; all of what comes is used up."""
    clock = clock or Clock()
    steps = conversation(call, "http://s", timeout_seconds, retry, clock.world())
    coming, pauses = iter(came), list[float]()
    sent: Reply | Failure | None = None
    try:
        while True:
            step = steps.send(sent)
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                clock.seconds += step.seconds
                sent = None
            else:
                assert isinstance(step, Send)
                clock.seconds += clock.request_seconds
                sent = next(coming)
    except StopIteration as end:
        assert next(coming, None) is None
        return end.value, pauses
    except ClientError as error:
        assert next(coming, None) is None
        return error, pauses


def test_an_answer_is_returned_at_once() -> None:
    answer, pauses = talk(calls.server(), [READ])
    assert getattr(answer, "name", None) == "s"
    assert pauses == []


@pytest.mark.parametrize("passing", [reply(503), reply(429), reply(502), REFUSED, CUT])
def test_what_passes_is_asked_again_after_pauses_that_double(passing: Reply | Failure) -> None:
    answer, pauses = talk(calls.server(), [passing, passing, passing, READ])
    assert getattr(answer, "name", None) == "s"
    assert pauses == [1, 2, 4]


def test_pauses_are_drawn_from_nothing_to_their_bound_and_grow_to_the_largest() -> None:
    retry = Retry(attempts=2000, first_seconds=0.5, largest_seconds=4)
    error = UnavailableError("")
    assert [retry.pause_seconds(n, error, lambda: 1.0) for n in (1, 2, 3, 4, 1999)] == [0.5, 1, 2, 4, 4]
    assert retry.pause_seconds(3, error, lambda: 0.0) == 0.0


def test_retry_after_is_waited_for_and_more() -> None:
    _, pauses = talk(calls.server(), [reply(503, retry_after="7"), READ])
    assert pauses == [8]


def test_a_retry_after_beyond_patience_is_an_error() -> None:
    answer, pauses = talk(calls.server(), [reply(503, retry_after="61")])
    assert isinstance(answer, OverloadedError)
    assert answer.retry_after_seconds == 61
    assert pauses == []


def test_attempts_are_counted() -> None:
    answer, pauses = talk(calls.server(), [reply(503)] * 3, Retry(attempts=3, first_seconds=1))
    assert isinstance(answer, UnavailableError)
    assert str(answer) == "why"
    assert len(pauses) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501, 504])
def test_what_will_not_pass_is_not_asked_again(status: int) -> None:
    answer, pauses = talk(calls.server(), [reply(status)])
    assert isinstance(answer, ClientError)
    assert answer.status == status
    assert pauses == []


def test_a_load_is_repeated_only_where_it_cannot_have_begun() -> None:
    assert talk(calls.load("m"), [REFUSED, reply(200)])[0] is None
    assert isinstance(talk(calls.load("m"), [CUT])[0], UnreachableError)
    assert isinstance(talk(calls.load("m"), [reply(503)])[0], UnavailableError)


def test_the_time_holds_for_all_attempts_together() -> None:
    clock = Clock(request_seconds=3)
    answer, pauses = talk(calls.server(), [reply(503)] * 2, timeout_seconds=8, clock=clock)
    assert isinstance(answer, UnavailableError)  # a third attempt would begin after 3 + 1 + 3 + 2 seconds
    assert pauses == [1]


def test_each_attempt_is_told_the_time_that_is_left() -> None:
    clock = Clock()
    steps = conversation(calls.server(), "http://s", 10, Retry(first_seconds=1), clock.world())
    first = next(steps)
    assert isinstance(first, Send)
    assert first.left_seconds == 10
    clock.seconds += 4
    assert steps.send(reply(503)) == Pause(1)
    clock.seconds += 1
    second = next(steps)
    assert isinstance(second, Send)
    assert second.left_seconds == 5


def test_an_answer_that_took_too_long_is_not_asked_for_again() -> None:
    answer, _ = talk(calls.server(), [Failure("slow", connected=True, timed_out=True)], timeout_seconds=2)
    assert isinstance(answer, TimedOutError)
    assert str(answer) == "`http://s` did not answer within 2 s: slow"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "the server answered with status 400 and not a word"),
        (b'{"detail": "no"}', '{"detail": "no"}'),
        (b"\xff" * 10_000, "\ufffd" * 500),
    ],
)
def test_an_error_that_is_none_of_the_protocol_is_still_told(body: bytes, message: str) -> None:
    answer, _ = talk(calls.server(), [reply(400, body)])
    assert isinstance(answer, InvalidInputError)
    assert str(answer) == message
