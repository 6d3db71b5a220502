"""The messages of one stream: answered side by side, while their answers leave in the order they came in.

Triton answers in that order too, and clients that send no `id` rely on it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

Turn: TypeAlias = "tuple[asyncio.Task[bytes], int]"
"""A message under way, and how many places it takes."""

# With the usual 32 rows a batch: one runs, and the next one waits.
PLACES = 64


class Stream:
    """Reads on while others are answered, as long as there is room; whoever sends faster has to wait.

    A message takes one place, or as many as it is 64ths of the largest that may come, until its answer is
    sent: so those that are under way are together hardly larger than one may be.
    """

    def __init__(
        self,
        answer: Callable[[bytes], Coroutine[Any, Any, bytes]],
        send: Callable[[bytes], Awaitable[None]],
        largest_bytes: int,
    ) -> None:
        """`answer` has one for every message, whatever happens; `send` is asked for one after the other."""
        self._answer = answer
        self._send = send
        self._place_bytes = max(1, largest_bytes // PLACES)
        self._free = asyncio.Semaphore(PLACES)
        self._under_way: asyncio.Queue[Turn | None] = asyncio.Queue()

    async def run(self, coming: AsyncIterator[bytes], ending: asyncio.Event) -> bool:
        """Answer what comes, to the last or until the server ends; whether it was the last."""
        stop = asyncio.ensure_future(ending.wait())
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(coming, group))
                reading.add_done_callback(lambda _: self._under_way.put_nowait(None))
                stop.add_done_callback(lambda _: reading.cancel())
                group.create_task(self._write())
        finally:
            stop.cancel()
        return not reading.cancelled()

    async def _read(self, coming: AsyncIterator[bytes], group: asyncio.TaskGroup) -> None:
        async for data in coming:
            places = min(PLACES, 1 + len(data) // self._place_bytes)
            for _ in range(places):
                await self._free.acquire()
            self._under_way.put_nowait((group.create_task(self._answer(data)), places))

    async def _write(self) -> None:
        while (turn := await self._under_way.get()) is not None:
            answer, places = turn
            await self._send(await answer)
            for _ in range(places):
                self._free.release()
