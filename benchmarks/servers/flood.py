"""Loads beyond a server's capacity: requests at a rate that no answer slows, and clients that always repeat.

One thread for all connections, and a few microseconds of it for a request: what the load takes of the
processors, the server lacks.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Requests that are due are sent together, as often as this.
TICK_SECONDS = 1e-3
HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"


@dataclass(slots=True)
class Answers:
    """Answers by status, 0 for none, and the seconds from when a request was due to its answer with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: float) -> float:
        """Of the seconds of the answers with 200."""
        return float(np.percentile(self.seconds, percent)) if self.seconds else float("nan")


class Load:
    """Requests to one port of this machine, all alike, over persistent connections."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request
        self._answers = Answers()
        self._connections: set[_Connection] = set()
        self._idle: deque[_Connection] = deque()

    async def repeat_at_once(self, clients: int, seconds: float) -> Answers:
        """What so many clients get that ask again as soon as they have an answer, whatever it is."""
        await self._connect(clients, _Connection.ask)
        for connection in tuple(self._connections):
            connection.ask()
        await asyncio.sleep(seconds)
        return self._finish()

    async def send_at_rate(self, rate: float, seconds: float, connections: int) -> Answers:
        """What becomes of so many requests a second; one that finds no connection free is not answered."""
        await self._connect(connections, self._idle.append)
        self._idle.extend(self._connections)
        begin, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < begin + seconds:
            due = int((now - begin) * rate)
            for number in range(sent, due):
                if self._idle:
                    self._idle.popleft().ask(begin + number / rate)
                else:
                    self._answers.statuses[0] += 1
            sent = due
            await asyncio.sleep(TICK_SECONDS)
        return self._finish()

    async def _connect(self, count: int, on_answer: "Callable[[_Connection], None]") -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, connection = await loop.create_connection(
                lambda: _Connection(self._request, self._answers, on_answer), "127.0.0.1", self._port
            )
            self._connections.add(connection)

    def _finish(self) -> Answers:
        for connection in self._connections:
            connection.close()
        return self._answers


class _Connection(asyncio.Protocol):
    """One connection with one request at a time; if the server ends it, that request has status 0."""

    def __init__(self, request: bytes, answers: Answers, on_answer: "Callable[[_Connection], None]") -> None:
        self._request = request
        self._answers = answers
        self._on_answer = on_answer
        self._due = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self._answers.statuses[0] += not self._transport.is_closing()

    def ask(self, due: float = 0.0) -> None:
        self._due = due or time.perf_counter()
        self._transport.write(self._request)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        data = self._received + data
        if not _is_whole(data):
            self._received = data
            return
        self._received = b""
        status = int(data[9:12])
        self._answers.statuses[status] += 1
        if status == 200:
            self._answers.seconds.append(time.perf_counter() - self._due)
        self._on_answer(self)


def _is_whole(answer: bytes) -> bool:
    end = answer.find(HEAD_END)
    length = answer[: max(0, end)].lower().partition(LENGTH)[2].partition(b"\r")[0]
    return end >= 0 and len(answer) >= end + len(HEAD_END) + int(length)
