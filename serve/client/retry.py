"""When a request is sent again, after how long, and when to give up: what tenacity is told of a call."""

from dataclasses import dataclass
from time import monotonic, time
from typing import Any, Generic, TypeVar

from tenacity import RetryCallState, retry_if_result, wait_combine, wait_random_exponential

from serve.client.calls import ClientCall, Reply
from serve.client.errors import (
    ClientError,
    InvalidReplyError,
    TimedOutError,
    UnavailableError,
    UnreachableError,
    make_error,
    parse_retry_after,
)
from serve.client.replies import JsonObject, parse

T = TypeVar("T")
SHOWN_BYTES = 500
# Eleven days; a socket cannot wait for more than twenty-four.
LONGEST_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` in all, with pauses drawn from 0 to a bound that doubles from first to largest.

    Drawing from the whole range ("full jitter") spreads clients that were refused together. A server's own
    `Retry-After` is waited for on top, unless it is longer than `patience_seconds`; then the error is raised.
    `connecting` is the most attempts of a client that has never reached the server; None for all of them.
    """

    attempts: int = 5
    first_seconds: float = 0.1
    largest_seconds: float = 10.0
    patience_seconds: float = 60.0
    connecting: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """No reply came, for this reason; `connected` where the server may have read the request.

    A `lasting` one, such as a wrong certificate, would come again; the `hint` says what may help.
    """

    reason: str
    connected: bool
    timed_out: bool = False
    lasting: bool = False
    hint: str | None = None


class Attempts(Generic[T]):
    """One call's attempts, which share one time limit."""

    def __init__(self, call: ClientCall[T], url: str, timeout_seconds: float | None, retry: Retry) -> None:
        """The time begins now."""
        self.call = call
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._retry = retry
        self._end = None if timeout_seconds is None else monotonic() + timeout_seconds

    @property
    def policy(self) -> dict[str, Any]:
        """The options of tenacity's `Retrying` and `AsyncRetrying`, for what returns a reply or a failure."""
        return {
            "retry": retry_if_result(self._may_repeat),
            "wait": wait_combine(
                wait_random_exponential(self._retry.first_seconds, self._retry.largest_seconds),
                self._retry_after_seconds,
            ),
            "stop": self._gives_up,
            "retry_error_callback": _last_outcome,
        }

    def left_seconds(self) -> float | None:
        """How long the next attempt may take, None for any time; raises `TimedOutError` for no time."""
        if self._end is None:
            return None
        left = min(self._end - monotonic(), LONGEST_SECONDS)
        if not left > 0:  # not a number is no time either
            raise TimedOutError(f"`{self._url}` did not answer within {self._timeout_seconds:g} s")
        return left

    def read(self, outcome: Reply | Failure) -> T:
        """The call's answer; raises `ClientError` where the last outcome is none."""
        if isinstance(outcome, Reply) and outcome.status in self.call.answers:
            return self.call.read(outcome)
        raise self._error(outcome)

    def _may_repeat(self, outcome: Reply | Failure) -> bool:
        """Whether one more attempt is safe, and may help."""
        if isinstance(outcome, Failure):
            if outcome.timed_out or outcome.lasting:
                return False
            return self.call.repeatable or not outcome.connected
        if outcome.status in self.call.answers or not self.call.repeatable:
            return False
        return isinstance(self._error(outcome), UnavailableError)

    def _retry_after_seconds(self, state: RetryCallState) -> float:
        """How long the server asks to wait."""
        return self._error(_last_outcome(state)).retry_after_seconds or 0.0

    def _gives_up(self, state: RetryCallState) -> bool:
        return (
            state.attempt_number >= self._most_attempts(_last_outcome(state))
            or self._retry_after_seconds(state) > self._retry.patience_seconds
            or (self._end is not None and monotonic() + state.upcoming_sleep >= self._end)
        )

    def _most_attempts(self, outcome: Reply | Failure) -> int:
        if isinstance(outcome, Reply) or outcome.connected or self._retry.connecting is None:
            return self._retry.attempts
        return min(self._retry.attempts, self._retry.connecting)

    def _error(self, outcome: Reply | Failure) -> ClientError:
        if isinstance(outcome, Reply):
            wait = parse_retry_after(outcome.headers.get("retry-after"), time())
            return make_error(outcome.status, _error_text(outcome), wait)
        error: ClientError
        if outcome.timed_out:
            error = TimedOutError(
                f"`{self._url}` did not answer within {self._timeout_seconds or 0:g} s: {outcome.reason}"
            )
        else:
            error = UnreachableError(f"`{self._url}` cannot be reached: {outcome.reason}")
        error.hint, error.is_connected = outcome.hint, outcome.connected
        return error


def _last_outcome(state: RetryCallState) -> Reply | Failure:
    assert state.outcome is not None  # tenacity asks only once an attempt has ended
    outcome: Reply | Failure = state.outcome.result()
    return outcome


def _error_text(reply: Reply) -> str:
    """The server's own words."""
    try:
        text = JsonObject(parse(reply.body), "reply").text("error")
    except InvalidReplyError:
        # A proxy in between, or a server of another protocol.
        text = bytes(reply.body[:SHOWN_BYTES]).decode("utf-8", "replace").strip()
    if text:
        return text
    return f"the server answered with status {reply.status} and not a word"
