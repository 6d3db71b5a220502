"""When a request is sent again, after how long, and when to give up."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from serve.client.calls import Body, ClientCall, Reply
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


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` in all, with pauses drawn from 0 to a bound that doubles from first to largest.

    Drawing from the whole range ("full jitter") spreads clients that were refused together. A server's own
    `Retry-After` is waited for on top, unless it is longer than `patience_seconds`; then the error is raised.
    """

    attempts: int = 5
    first_seconds: float = 0.1
    largest_seconds: float = 10.0
    patience_seconds: float = 60.0

    def pause_seconds(self, failed: int, error: ClientError, random: Callable[[], float]) -> float | None:
        """How long to wait after the failure of this number, from 1; None to raise the error."""
        if failed >= self.attempts:
            return None
        asked = error.retry_after_seconds or 0.0
        if asked > self.patience_seconds:
            return None
        bound = min(self.largest_seconds, self.first_seconds * 2.0 ** min(failed - 1, 64))
        return asked + random() * bound


T = TypeVar("T")
SHOWN_BYTES = 500
# Eleven days; a socket cannot wait for more than twenty-four.
LONGEST_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Send:
    """Send this, and give it so many seconds; None for any number."""

    method: str
    path: str
    body: Body
    left_seconds: float | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failure:
    """No reply came, because of this; `connected` where the server may have read the request."""

    reason: str
    connected: bool
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a conversation needs of the world, so that a test can give it another."""

    clock: Callable[[], float]
    """Seconds that only grow."""
    now: Callable[[], float]
    """Seconds since 1970."""
    random: Callable[[], float]
    """A number from 0 to 1."""


Conversation: TypeAlias = Generator[Send | Pause, Reply | Failure | None, T]


def conversation(
    call: ClientCall[T], url: str, timeout_seconds: float | None, retry: Retry, world: Surroundings
) -> Conversation[T]:
    """The steps that lead to the call's answer, in at most so many seconds; raises `ClientError`."""
    end = None if timeout_seconds is None else world.clock() + timeout_seconds
    failed = 0
    while True:
        left = None if end is None else min(end - world.clock(), LONGEST_SECONDS)
        if left is not None and not left > 0:  # not a number is no time either
            raise TimedOutError(f"`{url}` did not answer within {timeout_seconds:g} s")
        came = yield Send(call.method, call.path, call.write(left), left)
        if isinstance(came, Reply) and came.status in call.answers:
            return call.read(came)
        failed += 1
        error = _error(came, url, timeout_seconds, world)
        pause = retry.pause_seconds(failed, error, world.random) if _again(call, came, error) else None
        if pause is None or (end is not None and world.clock() + pause >= end):
            raise error
        yield Pause(pause)


def _again(call: ClientCall[T], came: Reply | Failure | None, error: ClientError) -> bool:
    """Whether asking once more is safe, and may help."""
    if isinstance(came, Failure):
        return not came.timed_out and (call.repeatable or not came.connected)
    return call.repeatable and isinstance(error, UnavailableError)


def _error(
    came: Reply | Failure | None, url: str, timeout_seconds: float | None, world: Surroundings
) -> ClientError:
    if isinstance(came, Reply):
        wait = parse_retry_after(came.headers.get("retry-after"), world.now())
        return make_error(came.status, _said(came), wait)
    assert isinstance(came, Failure)  # a pause is followed by nothing but another request
    if came.timed_out:
        return TimedOutError(f"`{url}` did not answer within {timeout_seconds or 0:g} s: {came.reason}")
    return UnreachableError(f"`{url}` cannot be reached: {came.reason}")


def _said(reply: Reply) -> str:
    """The server's own words."""
    try:
        text = JsonObject(parse(reply.body), "reply").text("error")
    except InvalidReplyError:
        # A proxy in between, or a server that is none of the protocol.
        text = bytes(reply.body[:SHOWN_BYTES]).decode("utf-8", "replace").strip()
    if text:
        return text
    return f"the server answered with status {reply.status} and not a word"
