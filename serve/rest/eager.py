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
    return asyncio.get_running_loop().create_task(_finish(_Rest(coroutine, future)))


async def _finish(rest: "_Rest") -> None:
    await rest


class _Rest:
    """What is left of a coroutine that waits for this future."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], future: Any) -> None:
        self._coroutine = coroutine
        self._future = future

    def __await__(self) -> Generator[Any, Any, None]:
        """Pass on what the coroutine waits for, and what the task gives or throws."""
        future, self._future = self._future, None
        try:
            while True:
                try:
                    value = yield future
                except BaseException as error:  # noqa: BLE001  the coroutine answers it
                    # The error refers to this frame: without this they stay until garbage is collected.
                    future = None
                    future = self._coroutine.throw(error)
                else:
                    future = self._coroutine.send(value)
        except StopIteration:
            return
