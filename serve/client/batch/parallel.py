"""Work in threads, whose results are taken as they come."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

LOOK_SECONDS = 0.5

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_threads(
    task: Callable[[_Item], _Result], items: Sequence[_Item], threads: int
) -> Iterator[tuple[_Item, _Result]]:
    """Each item with its result, in the order they come; at most `threads` run at once.

    They run in threads that end with the command: Ctrl-C does not wait for a server. The queues are those of
    C, since a Ctrl-C inside Python's own locks may come out as another error (CPython 3.11).
    """
    waiting: SimpleQueue[_Item | None] = SimpleQueue()
    finished: SimpleQueue[tuple[_Item, _Result | BaseException]] = SimpleQueue()
    threads = min(threads, len(items))
    for _ in range(threads):
        Thread(target=_work, args=(task, waiting, finished), name="adaptact-predict", daemon=True).start()
    coming = iter(items)
    try:
        for item in islice(coming, threads):
            waiting.put(item)
        for _ in items:
            item, result = _take(finished)
            if isinstance(result, BaseException):
                raise result
            yield item, result
            for further in islice(coming, 1):
                waiting.put(further)
    finally:
        for _ in range(threads):
            waiting.put(None)


def _work(
    task: Callable[[_Item], _Result],
    waiting: "SimpleQueue[_Item | None]",
    finished: "SimpleQueue[tuple[_Item, _Result | BaseException]]",
) -> None:
    """Do the task for the waiting items, until there is None."""
    for item in iter(waiting.get, None):
        try:
            finished.put((item, task(item)))
        except BaseException as error:  # noqa: BLE001  # the thread that waits for the results raises it
            finished.put((item, error))


def _take(queue: "SimpleQueue[_Item]") -> _Item:
    """The next of the queue. CPython 3.11 handles a Ctrl-C that comes just before a wait only after it."""
    while True:
        with suppress(Empty):
            return queue.get(timeout=LOOK_SECONDS)
