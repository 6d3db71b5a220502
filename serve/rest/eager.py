"""Coroutines that begin at once, and become tasks only where they wait.

Most requests are answered without a wait. asyncio has this from Python 3.12 on.
"""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


def start_eagerly(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
    """Run the coroutine until it waits; the task of the rest, or None if it has ended.

    Until then it is in no task of its own. What it raises before is raised here. Where it only lets others
    have their turn, it goes on.
    """
    future = None
    try:
        while future is None:
            future = coroutine.send(None)
    except StopIteration:
        return None
    return continue_as_task(coroutine, future)


def continue_as_task(coroutine: Coroutine[Any, Any, None], future: Any) -> asyncio.Task[None]:
    """A task of the rest of the coroutine, which waits for this future."""
    return asyncio.get_running_loop().create_task(_Rest(coroutine, future))


class _Rest(Coroutine[Any, Any, None]):
    """What is left of a coroutine; its first step is to wait for the future, as it does already.

    Not a coroutine that awaits the other: one that is cancelled before its first step would never begin.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, None], future: Any) -> None:
        self._coroutine = coroutine
        self._future = future

    def send(self, value: Any) -> Any:
        """As of any coroutine."""
        if self._future is None:
            return self._coroutine.send(value)
        future, self._future = self._future, None
        return future

    def throw(self, *error: Any) -> Any:
        """As of any coroutine."""
        self._future = None
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As of any coroutine."""
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, None]:
        """As of any coroutine."""
        return self._coroutine.__await__()
