"""A server under three times its capacity: goodput, latency of accepted requests, refusals.

Its capacity is the rate of eight clients that wait for their answers. Then requests come at three times that
rate, whether or not earlier ones were answered. Both loads come from one process on the same machine, whose
processor time is reported, since the server lacks it.
Prints a table and writes docs/results/overload.{md,json}.
"""

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
import uvloop
from rich import box
from rich.table import Table

from benchmarks.results import publish
from benchmarks.servers.load import binary_body, json_body
from benchmarks.servers.models import write_models
from benchmarks.servers.plans import PEERS, ServedModel
from benchmarks.servers.server import run_server

MODEL = "cnn"
PATH = f"/v2/models/{MODEL}/infer"
BUILD = Path("build/overload")
QUEUE_SECONDS = 0.25
QUEUE_LENGTH = 64
MOST_CONNECTIONS = 800
CLIENTS = 8
CAPACITY_SECONDS = 5.0


@dataclass(slots=True)
class Answers:
    """Answers by status, and the seconds from when a request was due to its answer, of those with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OverloadMeasurement:
    """The answers at capacity and beyond it; `shares` are the processor shares of the load itself."""

    capacity: float
    answers: Answers
    seconds: int
    shares: tuple[float, float]
    memory_mb: float

    @property
    def goodput(self) -> float:
        """Answers with 200 a second, of the capacity."""
        return self.answers.statuses[200] / self.seconds / self.capacity

    @property
    def goodput_of_what_is_left(self) -> float:
        """The same, had the load taken no more of the processors than when the capacity was measured."""
        calm, flood = self.shares
        return self.goodput * (1 - calm) / (1 - flood)

    @property
    def p99_seconds(self) -> float:
        """Of the answers with 200."""
        return float(np.percentile(self.answers.seconds, 99))


def main(
    factor: Annotated[float, typer.Option(min=1, help="Times the capacity.")] = 3.0,
    seconds: Annotated[int, typer.Option(min=1, help="How long the load lasts.")] = 20,
) -> None:
    """Measure and publish."""
    measured = _measure(factor, seconds)
    numbers = {
        "capacity": measured.capacity,
        "goodput": measured.goodput,
        "goodput_of_what_is_left": measured.goodput_of_what_is_left,
        "load_shares": measured.shares,
        "p99_seconds": measured.p99_seconds,
        "statuses": dict(measured.answers.statuses),
        "memory_mb": measured.memory_mb,
    }
    publish("overload", f"{factor:g} times the capacity for {seconds} s", _make_table(measured), numbers)


def _measure(factor: float, seconds: int) -> OverloadMeasurement:
    models = (BUILD / "models").resolve()
    write_models(models)
    (models / MODEL / "config.toml").write_text(
        f"queue_seconds = {QUEUE_SECONDS}\nqueue_length = {QUEUE_LENGTH}\n"
    )
    body = binary_body(MODEL)
    request = _encode_request(body.content, body.headers)
    plan = PEERS["adaptact"].plan(ServedModel(models, MODEL, 1, Path()))
    with run_server(plan, PATH, json_body(MODEL).content) as server:
        port = int(server.url.rpartition(":")[2])
        begin = time.process_time()
        capacity = uvloop.run(Load(port, request).wait_for_answers(CLIENTS, CAPACITY_SECONDS))
        middle = time.process_time()
        answers = uvloop.run(Load(port, request).flood(capacity * factor, seconds))
        end = time.process_time()
        memory_mb = server.memory_mb()
    processors = len(os.sched_getaffinity(0))
    shares = (middle - begin) / CAPACITY_SECONDS / processors, (end - middle) / seconds / processors
    return OverloadMeasurement(capacity, answers, seconds, shares, memory_mb)


def _make_table(measured: OverloadMeasurement) -> Table:
    table = Table("what", box=box.MARKDOWN)
    table.add_column("measured", justify="right")
    table.add_column("budget", justify="right")
    statuses = measured.answers.statuses
    table.add_row("capacity, requests/s", f"{measured.capacity:.0f}", "")
    table.add_row("offered, requests/s", f"{sum(statuses.values()) / measured.seconds:.0f}", "")
    table.add_row("goodput / capacity", f"{measured.goodput:.2f}", "≥ 0.90")
    for name, share in zip(("at capacity", "in the overload"), measured.shares, strict=True):
        table.add_row(f"the load's share of the processors, {name}", f"{share:.0%}", "")
    table.add_row(
        "goodput / capacity, for the processors left", f"{measured.goodput_of_what_is_left:.2f}", ""
    )
    p99 = f"{measured.p99_seconds * 1e3:.0f}"
    table.add_row("p99 of those answered, ms", p99, f"≤ {QUEUE_SECONDS * 1e3:.0f}")
    for status, count in sorted(statuses.items()):
        table.add_row(f"answers with {status or 'no status'}", str(count), "")
    table.add_row("memory afterwards (PSS), MB", f"{measured.memory_mb:.0f}", "")
    return table


def _encode_request(content: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Load:
    """Requests to one port, over persistent connections."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port = port
        self.request = request
        self._answers = Answers()
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def wait_for_answers(self, clients: int, seconds: float) -> float:
        """How many requests a second so many clients get answered, each asking once it has its answer."""
        end = time.perf_counter() + seconds

        async def client() -> None:
            while (now := time.perf_counter()) < end:
                await self._ask(now)

        await asyncio.gather(*(client() for _ in range(clients)))
        self._close()
        return self._answers.statuses[200] / seconds

    async def flood(self, rate: float, seconds: float) -> Answers:
        """What becomes of requests at this rate; one that finds every connection in use is not answered."""
        underway: set[asyncio.Task[None]] = set()
        begin = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            # When late, the answers must still be read.
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if len(underway) >= MOST_CONNECTIONS:
                self._answers.statuses[0] += 1
                continue
            task = asyncio.create_task(self._ask(due))
            underway.add(task)
            task.add_done_callback(underway.discard)
        await asyncio.gather(*underway)
        self._close()
        return self._answers

    async def _ask(self, due: float) -> None:
        try:
            reader, writer = (
                self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self.port)
            )
            writer.write(self.request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
        except (OSError, asyncio.IncompleteReadError):
            self._answers.statuses[0] += 1
            return
        status = int(head[9:12])
        self._answers.statuses[status] += 1
        if status == 200:
            self._answers.seconds.append(time.perf_counter() - due)
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))

    def _close(self) -> None:
        for _, writer in self._idle:
            writer.close()


if __name__ == "__main__":
    typer.run(main)
