"""Loading within a deadline: in a thread of its own, which is replaced where a load cannot be ended."""

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from time import monotonic
from typing import TypeVar

import onnxruntime as ort

from serve.engine.errors import DrainingError, EngineError, HungLoadError, ModelRefusedError
from serve.engine.providers import make_run_options

PROGRESS_SECONDS = 10.0
CHECK_SECONDS = 0.5
STUCK_SECONDS = 3.0  # between when a load is told to end and when it is given up
MAX_GIVEN_UP = 8

T = TypeVar("T")
log = logging.getLogger("adaptact")


class Cancellation:
    """Ends a load from another thread: the creation of its session, and its trial runs."""

    def __init__(self) -> None:
        """It is not cancelled."""
        self.is_cancelled = False
        self._ends: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """End what is going on, and what begins from now on."""
        self.is_cancelled = True
        for end in list(self._ends):
            end()

    def on_cancel(self, end: Callable[[], None]) -> None:
        """Call it when the load is cancelled, or now if it was; it may be called twice."""
        self._ends.append(end)
        if self.is_cancelled:
            end()

    @contextmanager
    def limit_runs(self, seconds: float = threading.TIMEOUT_MAX) -> Iterator[ort.RunOptions]:
        """The options of runs that end after so many seconds, and with the load."""
        options = make_run_options()
        end = partial(setattr, options, "terminate", True)
        self.on_cancel(end)
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield options
        finally:
            timer.cancel()


class LoadThread:
    """A thread that loads models, one at a time, each for at most so many seconds.

    The allocator keeps memory for each thread that allocates, so there is only one.
    """

    def __init__(self, seconds: float) -> None:
        """Start the thread."""
        self._seconds = seconds
        self._given_up: tuple[tuple[str, threading.Event], ...] = ()
        self._current = Cancellation()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._calls = self._start_thread()

    @property
    def stuck(self) -> str | None:
        """Which loads cannot be ended, None if there are none."""
        labels = self._find_stuck()
        return f"loads of {', '.join(labels)} do not end" if labels else None

    def run(self, label: str, load: Callable[[Cancellation], T]) -> T:
        """What `load` returns, called in the thread; one caller at a time.

        Raises what `load` raises, `ModelRefusedError` if it was ended at the deadline, `HungLoadError` if it
        could not be, or `DrainingError` once `close` is called.
        """
        if len(self._find_stuck()) >= MAX_GIVEN_UP:
            raise ModelRefusedError(f"{MAX_GIVEN_UP} loads before it do not end; restart the server")
        cancellation = Cancellation()
        future: Future[T] = Future()
        with self._lock:  # what comes after the thread's end would never be called
            if self._closing.is_set():
                raise self._refuse(has_ended=True)
            self._current = cancellation
            self._calls.put(partial(_call, future, partial(load, cancellation)))
        self._wait(label, future)
        try:
            if future.done() and not cancellation.is_cancelled:
                return future.result()
            cancellation.cancel()
            if not wait([future], STUCK_SECONDS).done:
                self._give_up(label, future)
            raise self._refuse(has_ended=future.done())
        finally:
            # An error, by its traceback, would hold what holds it, and the cancellation the file's contents.
            del future
            self._current = Cancellation()

    def close(self) -> None:
        """End the load that goes on, and take no other."""
        with self._lock:
            self._closing.set()
            self._current.cancel()
            self._calls.put(None)

    def _wait(self, label: str, future: Future[T]) -> None:
        """Return once the load has ended, or its time is over; log that it goes on."""
        started = announced = monotonic()
        end = started + self._seconds
        while not self._closing.is_set() and (now := monotonic()) < end:
            if wait([future], min(CHECK_SECONDS, end - now)).done:
                return
            if now - announced > PROGRESS_SECONDS:
                announced = now
                log.warning("%s: loading for %d s; its limit is %g s", label, now - started, self._seconds)

    def _refuse(self, *, has_ended: bool) -> EngineError:
        if self._closing.is_set():
            return DrainingError("the server is about to end, and loads nothing")
        late = f"loading it took more than {self._seconds:g} s, the limit of `--load-seconds`"
        if has_ended:
            return ModelRefusedError(f"{late}; raise that if it needs longer")
        return HungLoadError(f"{late}, and could not be ended; it is not tried again until its files change")

    def _give_up(self, label: str, future: Future[T]) -> None:
        """Leave the thread to its load, and start another."""
        log.error("%s: its load does not end although it was told to; its thread is given up", label)
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        self._given_up = (*(load for load in self._given_up if not load[1].is_set()), (label, ended))
        self._calls.put(None)
        self._calls = self._start_thread()

    def _find_stuck(self) -> list[str]:
        return [label for label, ended in self._given_up if not ended.is_set()]

    def _start_thread(self) -> "SimpleQueue[Callable[[], None] | None]":
        """The queue of what the new thread calls; None ends it."""
        calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        threading.Thread(target=_work, args=[calls], name="adaptact-load", daemon=True).start()
        return calls


def _work(calls: "SimpleQueue[Callable[[], None] | None]") -> None:
    while call := calls.get():
        call()
        del call


def _call(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except BaseException as error:  # noqa: BLE001  its caller, in another thread, gets whatever it is
        future.set_exception(error)
        del future, call  # the error, by its traceback, would hold what holds it
