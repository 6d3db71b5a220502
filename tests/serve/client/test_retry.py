from typing import Any

import pytest
from tenacity import Retrying

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
from serve.client.retry import Attempts, Failure

READ = Reply(200, {}, bytearray(b'{"name": "s", "version": "1", "extensions": []}'))
REFUSED = Failure("refused", connected=False)
CUT = Failure("cut", connected=True)


def reply(status: int, text: bytes = b'{"error": "why"}', **headers: str) -> Reply:
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, bytearray(text))


class Clock:
    """A time that passes only in pauses and while a request is under way."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.request_seconds = 0.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock; and every pause is as long as it can be."""
    made = Clock()
    monkeypatch.setattr("serve.client.retry.monotonic", made.monotonic)
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda low, high: high)
    return made


def ask(
    clock: Clock,
    call: ClientCall[Any],
    outcomes: list[Reply | Failure],
    retry: Retry = Retry(first_seconds=1.0),  # noqa: B008  # frozen
    timeout_seconds: float | None = None,
) -> object:
    """The answer, or the error; every outcome is used."""
    attempts = Attempts(call, "http://s", timeout_seconds, retry)
    coming = iter(outcomes)

    def send() -> Reply | Failure:
        attempts.left_seconds()
        clock.seconds += clock.request_seconds
        return next(coming)

    try:
        return attempts.read(Retrying(sleep=clock.sleep, **attempts.policy)(send))
    except ClientError as error:
        return error
    finally:
        assert next(coming, None) is None


def test_an_answer_is_returned_at_once(clock: Clock) -> None:
    answer = ask(clock, calls.server(), [READ])
    assert getattr(answer, "name", None) == "s"
    assert clock.pauses == []


@pytest.mark.parametrize("passing", [reply(503), reply(429), reply(502), REFUSED, CUT])
def test_a_passing_failure_is_retried_after_doubling_pauses(clock: Clock, passing: Reply | Failure) -> None:
    answer = ask(clock, calls.server(), [passing, passing, passing, READ])
    assert getattr(answer, "name", None) == "s"
    assert clock.pauses == [1, 2, 4]


def test_pauses_grow_to_the_largest(clock: Clock) -> None:
    retry = Retry(attempts=2000, first_seconds=0.5, largest_seconds=4)
    ask(clock, calls.server(), [REFUSED] * 2000, retry)
    assert clock.pauses[:5] == [0.5, 1, 2, 4, 4]
    assert clock.pauses[-1] == 4


def test_pauses_are_drawn_from_zero_to_their_bound(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda low, high: low)
    ask(clock, calls.server(), [REFUSED, REFUSED, READ])
    assert clock.pauses == [0, 0]


def test_retry_after_is_waited_for_on_top(clock: Clock) -> None:
    ask(clock, calls.server(), [reply(503, retry_after="7"), READ])
    assert clock.pauses == [8]


def test_a_retry_after_beyond_patience_is_an_error(clock: Clock) -> None:
    error = ask(clock, calls.server(), [reply(503, retry_after="61")])
    assert isinstance(error, OverloadedError)
    assert error.retry_after_seconds == 61
    assert clock.pauses == []


@pytest.mark.parametrize(("attempts", "pauses"), [(3, 2), (1, 0), (0, 0)])
def test_attempts_are_counted(clock: Clock, attempts: int, pauses: int) -> None:
    retry = Retry(attempts=attempts, first_seconds=1)
    error = ask(clock, calls.server(), [reply(503)] * max(1, attempts), retry)
    assert isinstance(error, UnavailableError)
    assert str(error) == "why"
    assert len(clock.pauses) == pauses


@pytest.mark.parametrize("status", [400, 401, 404, 413, 500, 501, 504])
def test_a_lasting_failure_is_not_retried(clock: Clock, status: int) -> None:
    error = ask(clock, calls.server(), [reply(status)])
    assert isinstance(error, ClientError)
    assert error.status == status
    assert clock.pauses == []


def test_a_load_is_repeated_only_where_it_cannot_have_begun(clock: Clock) -> None:
    assert ask(clock, calls.load("m"), [REFUSED, reply(200)]) is None
    assert isinstance(ask(clock, calls.load("m"), [CUT]), UnreachableError)
    assert isinstance(ask(clock, calls.load("m"), [reply(503)]), UnavailableError)


def test_the_time_limit_is_that_of_all_attempts_together(clock: Clock) -> None:
    clock.request_seconds = 3
    error = ask(clock, calls.server(), [reply(503)] * 2, timeout_seconds=8)
    assert isinstance(error, UnavailableError)  # a third attempt would begin after 3 + 1 + 3 + 2 seconds
    assert clock.pauses == [1]


def test_an_attempt_has_the_time_that_is_left(clock: Clock) -> None:
    attempts = Attempts(calls.server(), "http://s", 10, Retry())
    assert attempts.left_seconds() == 10
    clock.seconds += 4
    assert attempts.left_seconds() == 6
    clock.seconds += 6
    with pytest.raises(TimedOutError, match="`http://s` did not answer within 10 s"):
        attempts.left_seconds()


def test_a_slow_answer_is_not_asked_for_again(clock: Clock) -> None:
    slow = Failure("slow", connected=True, timed_out=True)
    error = ask(clock, calls.server(), [slow], timeout_seconds=2)
    assert isinstance(error, TimedOutError)
    assert str(error) == "`http://s` did not answer within 2 s: slow"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>bad gateway</html>", "<html>bad gateway</html>"),
        (b"", "the server answered with status 400 and not a word"),
        (b'{"detail": "no"}', '{"detail": "no"}'),
        (b"\xff" * 10_000, "\ufffd" * 500),
    ],
)
def test_an_error_of_another_protocol_has_its_text(clock: Clock, body: bytes, message: str) -> None:
    error = ask(clock, calls.server(), [reply(400, body)])
    assert isinstance(error, InvalidInputError)
    assert str(error) == message
