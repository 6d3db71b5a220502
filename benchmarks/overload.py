"""What is left of a server that gets three times what it can do: goodput, latency of what it takes, refusals.

Its capacity is what eight clients get that wait for their answers; then requests come at three times that
rate, whether or not the earlier ones were answered. Both loads come from one process on the same machine.
Prints a table and writes docs/results/overload.{md,json}.
"""

import asyncio
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
from benchmarks.servers.plans import PEERS, Served
from benchmarks.servers.server import running

MODEL = "cnn"
PATH = f"/v2/models/{MODEL}/infer"
BUILD = Path("build/overload")
QUEUE_SECONDS = 0.25
QUEUE_LENGTH = 64
MOST_CONNECTIONS = 800
CLIENTS = 8


@dataclass(slots=True)
class Answers:
    """Answers by status, and the seconds from when a request was due to its answer, of those with 200."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def main(
    factor: Annotated[float, typer.Option(min=1, help="Times the capacity.")] = 3.0,
    seconds: Annotated[int, typer.Option(min=1, help="How long the load lasts.")] = 20,
) -> None:
    """Measure and publish."""
    models = (BUILD / "models").resolve()
    write_models(models)
    (models / MODEL / "config.toml").write_text(
        f"queue_seconds = {QUEUE_SECONDS}\nqueue_length = {QUEUE_LENGTH}\n"
    )
    body = binary_body(MODEL)
    plan = PEERS["adaptact"].plan(Served(models, MODEL, 1, Path()))
    with running(plan, PATH, json_body(MODEL).content) as server:
        load = Load(int(server.url.rpartition(":")[2]), _request(body.content, body.headers))
        capacity = uvloop.run(load.wait_for_answers(CLIENTS, 5))
        answers = uvloop.run(Load(load.port, load.request).flood(capacity * factor, seconds))
        memory = server.memory_mb()
    goodput = answers.statuses[200] / seconds
    p99 = float(np.percentile(answers.seconds, 99))
    table = Table(box=box.MARKDOWN)
    for column in ("what", "measured", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("capacity, requests/s", f"{capacity:.0f}", "")
    table.add_row("offered, requests/s", f"{sum(answers.statuses.values()) / seconds:.0f}", "")
    table.add_row("goodput / capacity", f"{goodput / capacity:.2f}", "≥ 0.90")
    table.add_row("p99 of those answered, ms", f"{p99 * 1e3:.0f}", f"≤ {QUEUE_SECONDS * 1e3:.0f}")
    for status, count in sorted(answers.statuses.items()):
        table.add_row(f"answers with {status or 'no status'}", str(count), "")
    table.add_row("memory afterwards (PSS), MB", f"{memory:.0f}", "")
    numbers = {
        "capacity": capacity,
        "goodput": goodput,
        "p99_seconds": p99,
        "statuses": dict(answers.statuses),
        "memory_mb": memory,
    }
    publish("overload", f"{factor:g} times the capacity for {seconds} s", table, numbers)


def _request(content: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {PATH} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Load:
    """Requests to one port, over connections that are used again."""

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
