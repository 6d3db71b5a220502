"""Rolling restarts of two servers under load: whether any request is lost.

The load goes through the half of a proxy that faces the servers: it asks each server every tenth of a second
whether it is ready, sends requests in turn to those that are, and keeps connections. It never repeats a
request that it has sent; only where a connection is refused does the other server get it.
Prints a table and writes docs/results/restarts.{md,json}.
"""

import asyncio
import itertools
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from benchmarks.results import publish
from benchmarks.servers.load import json_body
from benchmarks.servers.models import write_models
from benchmarks.servers.server import find_free_port

MODEL = "mlp"
BUILD = Path("build/restarts")
CHECK_SECONDS = 0.1
ANSWER_SECONDS = 30.0
READY = b"GET /v2/health/ready HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
LOST = "lost"
NOT_SENT = "no server is ready"


@dataclass(slots=True)
class Upstream:
    """One server as the proxy sees it: whether it is ready, and its idle connections."""

    port: int
    is_ready: bool = False
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)


class Proxy:
    """Sends requests in turn to the servers that are ready, over connections that it keeps."""

    def __init__(self, ports: list[int], request: bytes) -> None:
        self.answers: Counter[str] = Counter()
        self.sent_elsewhere = 0
        self.seconds: list[float] = []
        self.upstreams = [Upstream(port) for port in ports]
        self._turns = itertools.cycle(self.upstreams)
        self._request = request

    async def check(self, upstream: Upstream) -> None:
        """Ask the server again and again whether it is ready."""
        while True:
            try:
                async with asyncio.timeout(1):
                    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
                    writer.write(READY)
                    upstream.is_ready = (await reader.read(12))[9:] == b"200"
                    writer.close()
            except (OSError, TimeoutError):
                upstream.is_ready = False
            await asyncio.sleep(CHECK_SECONDS)

    async def send(self) -> None:
        """Send one request, and count its answer by status."""
        began = time.perf_counter()
        for upstream in itertools.islice(self._turns, 2 * len(self.upstreams)):
            if not upstream.is_ready:
                continue
            try:
                reader, writer = await _connect(upstream)
            except OSError:
                self.sent_elsewhere += 1
                continue
            self.answers[await self._exchange(upstream, reader, writer)] += 1
            self.seconds.append(time.perf_counter() - began)
            return
        self.answers[NOT_SENT] += 1

    async def _exchange(
        self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(self._request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            writer.close()
            return LOST
        if b"connection: close" in head:
            writer.close()
        else:
            upstream.idle.append((reader, writer))
        return head[9:12].decode()


async def _connect(upstream: Upstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An idle connection that the server has not closed yet, else a new one; raises `OSError`."""
    while upstream.idle:
        reader, writer = upstream.idle.pop()
        if not reader.at_eof():
            return reader, writer
        writer.close()
    return await asyncio.open_connection("127.0.0.1", upstream.port)


class Restarts:
    """The servers, and the load on them while each in turn is stopped and started."""

    def __init__(self, proxy: Proxy, models: Path, workers: int) -> None:
        self.stops: list[float] = []
        self.starts: list[float] = []
        self._proxy = proxy
        self._models = models
        self._workers = workers
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    async def run(self, restarts: int, clients: int, pause_seconds: float) -> None:
        """Start the servers, restart them so often under the load, and stop them."""
        upstreams = self._proxy.upstreams
        checks = [asyncio.create_task(self._proxy.check(upstream)) for upstream in upstreams]
        for upstream in upstreams:
            await self._start(upstream)
        loads = [asyncio.create_task(self._ask(pause_seconds)) for _ in range(clients)]
        try:
            for number in range(restarts):
                upstream = upstreams[number % len(upstreams)]
                self.stops.append(await self._stop(upstream))
                self.starts.append(await self._start(upstream))
        finally:
            for task in loads:
                task.cancel()
            await asyncio.wait(loads)
            for upstream in upstreams:
                await self._stop(upstream)
            for task in checks:
                task.cancel()

    async def _ask(self, pause_seconds: float) -> None:
        while True:
            await asyncio.shield(asyncio.ensure_future(self._proxy.send()))
            await asyncio.sleep(pause_seconds)

    async def _start(self, upstream: Upstream) -> float:
        began = time.perf_counter()
        self._processes[upstream.port] = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("adaptact-serve")), "--models", str(self._models)),
            *("--port", str(upstream.port), "--workers", str(self._workers), "--log-level", "warning"),
            stdout=asyncio.subprocess.DEVNULL,
        )
        while not upstream.is_ready:
            await asyncio.sleep(CHECK_SECONDS / 10)
        return time.perf_counter() - began

    async def _stop(self, upstream: Upstream) -> float:
        began = time.perf_counter()
        process = self._processes[upstream.port]
        with suppress(ProcessLookupError):
            process.terminate()
        if await process.wait():
            raise SystemExit(f"a server ended with status {process.returncode}")
        while upstream.is_ready:  # until the next check
            await asyncio.sleep(CHECK_SECONDS / 10)
        return time.perf_counter() - began


def main(
    restarts: Annotated[int, typer.Option(min=1, help="How often a server is restarted.")] = 100,
    clients: Annotated[int, typer.Option(min=1, help="Requests at once.")] = 8,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second of each client, at most.")] = 100,
    workers: Annotated[int, typer.Option(min=1, help="Workers of each server.")] = 1,
) -> None:
    """Measure and publish; ends with 1 where a request was lost or refused."""
    models = (BUILD / "models").resolve()
    write_models(models)
    proxy = Proxy([find_free_port(), find_free_port()], _encode_request())
    rolling = Restarts(proxy, models, workers)
    asyncio.run(rolling.run(restarts, clients, 1 / rate))
    _publish(
        proxy, rolling, f"{restarts} rolling restarts of two servers under load; workers of each: {workers}"
    )
    if proxy.answers.keys() != {"200"}:
        raise typer.Exit(1)


def _encode_request() -> bytes:
    body = json_body(MODEL)
    lines = [f"POST /v2/models/{MODEL}/infer HTTP/1.1", "Host: proxy", f"Content-Length: {len(body.content)}"]
    lines += [f"{name}: {value}" for name, value in body.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body.content


def _publish(proxy: Proxy, rolling: Restarts, title: str) -> None:
    asked = proxy.answers.total()
    milliseconds = sorted(1e3 * seconds for seconds in proxy.seconds)
    table = Table("what", box=box.MARKDOWN)
    table.add_column("measured", justify="right")
    table.add_row("requests", str(asked))
    table.add_row("answered with 200", str(proxy.answers["200"]))
    table.add_row("lost after they were sent", str(proxy.answers[LOST]))
    known = sum(proxy.answers[kind] for kind in ("200", LOST, NOT_SENT))
    table.add_row("answered otherwise", str(asked - known))
    table.add_row("not sent, since no server answered a check within 1 s", str(proxy.answers[NOT_SENT]))
    table.add_row("sent to the other server, since a connection was refused", str(proxy.sent_elsewhere))
    table.add_row(
        "p50 / p99 / longest, ms",
        f"{median(milliseconds):.1f} / {milliseconds[int(0.99 * asked)]:.0f} / {milliseconds[-1]:.0f}",
    )
    table.add_row(
        "SIGTERM to the end, median / longest, s", f"{median(rolling.stops):.1f} / {max(rolling.stops):.1f}"
    )
    table.add_row(
        "start to ready, median / longest, s", f"{median(rolling.starts):.1f} / {max(rolling.starts):.1f}"
    )
    numbers = {
        "restarts": len(rolling.stops),
        "answers": dict(proxy.answers),
        "sent_elsewhere": proxy.sent_elsewhere,
        "stop_seconds": rolling.stops,
        "start_seconds": rolling.starts,
        "milliseconds": {"p50": median(milliseconds), "longest": milliseconds[-1]},
    }
    publish("restarts", title, table, numbers)


if __name__ == "__main__":
    typer.run(main)
