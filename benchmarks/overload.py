"""A server that is asked too much: goodput, latency of accepted requests, refusals; with default settings.

Its capacity is the rate of eight clients that wait for their answers. Then come, each to a server started
anew: requests at three times that rate, whether or not earlier ones were answered; and 600 clients that
repeat a request at once, refused or not, whatever `Retry-After` says. The load comes from one process on the
same machine, whose processor time is reported, since the server lacks it.
Prints a table and writes docs/results/overload.{md,json}.
"""

import os
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich import box
from rich.table import Table

from benchmarks.results import publish as publish_results
from benchmarks.results import show
from benchmarks.servers.flood import Answers, Load
from benchmarks.servers.load import binary_body, json_body, run_in_process
from benchmarks.servers.models import SHAPES, write_models
from benchmarks.servers.plans import PEERS, ServedModel
from benchmarks.servers.server import run_server

BUILD = Path("build/overload")
WAITING_CLIENTS = 8
CAPACITY_SECONDS = 5.0
WARM_SECONDS = 1.0
MOST_CONNECTIONS = 800
GOODPUT = 0.9
P99_MS = 250


@dataclass(frozen=True, slots=True)
class OverloadMeasurement:
    """One server and one load; `shares` are the load's shares of the processors, at capacity and beyond."""

    server: str
    model: str
    load: str
    capacity: float
    offered: float
    answered: float
    statuses: dict[int, int]
    p50_ms: float
    p99_ms: float
    shares: tuple[float, float]
    memory_mb: float

    @property
    def goodput(self) -> float:
        """Answers with 200 a second, of the capacity."""
        return self.answered / self.capacity

    @property
    def goodput_of_what_is_left(self) -> float:
        """The same, had the load taken no more of the processors than when the capacity was measured."""
        calm, flood = self.shares
        return self.goodput * (1 - calm) / (1 - flood)


def main(  # the options of a command
    factor: Annotated[float, typer.Option(min=1, help="Times the capacity.")] = 3.0,
    clients: Annotated[int, typer.Option(min=1, help="Clients that repeat at once.")] = 600,
    seconds: Annotated[int, typer.Option(min=1, help="How long each load lasts.")] = 20,
    servers: Annotated[list[str], typer.Option("--server", help="Servers.")] = ["adaptact"],  # noqa: B006
    peers: Annotated[Path, typer.Option(help="Folder of the peers' environments.")] = Path("build/peers"),
    publish: Annotated[bool, typer.Option(help="Write docs/results/overload.")] = True,
) -> None:
    """Measure and publish."""
    models = (BUILD / "models").resolve()
    write_models(models)
    measured = []
    for server in servers:
        for model in SHAPES:
            # 0 workers are our own server's default; the others take at least one.
            served = ServedModel(models, model, 0 if server == "adaptact" else 1, peers.resolve())
            for load, rate in (("at a rate", factor), (f"{clients} clients", None)):
                measured.append(_measure(server, served, load, (rate, clients, seconds)))
    notes = f"Goals: goodput of at least {GOODPUT:g} of the capacity, p99 of at most {P99_MS} ms. "
    notes += _describe(models)
    title = f"{factor:g} times the capacity, and {clients} clients that repeat at once, for {seconds} s"
    if publish:
        numbers = {"loads": [asdict(one) for one in measured]}
        publish_results("overload", title, _make_table(measured), numbers, notes)
    else:
        show(title, [_make_table(measured)], notes)


def _measure(
    server: str, served: ServedModel, load: str, what: tuple[float | None, int, int]
) -> OverloadMeasurement:
    factor, clients, seconds = what
    path = f"/v2/models/{served.model}/infer"
    is_binary = "binary" in PEERS[server].forms
    body = binary_body(served.model) if is_binary else json_body(served.model)
    request = _encode_request(path, body.content, body.headers)
    plan = PEERS[server].plan(served)
    with run_server(plan, path, json_body(served.model).content) as running:
        _run(Load(plan.port, request).repeat_at_once(WAITING_CLIENTS, WARM_SECONDS), WARM_SECONDS)
        calm, calm_share = _run(
            Load(plan.port, request).repeat_at_once(WAITING_CLIENTS, CAPACITY_SECONDS), CAPACITY_SECONDS
        )
        capacity = calm.statuses[200] / CAPACITY_SECONDS
        begun = Load(plan.port, request)
        flood, share = _run(
            begun.send_at_rate(capacity * factor, seconds, MOST_CONNECTIONS)
            if factor
            else begun.repeat_at_once(clients, seconds),
            seconds,
        )
        return OverloadMeasurement(
            server,
            served.model,
            load,
            capacity,
            sum(flood.statuses.values()) / seconds,
            flood.statuses[200] / seconds,
            dict(sorted(flood.statuses.items())),
            flood.percentile(50) * 1e3,
            flood.percentile(99) * 1e3,
            (calm_share, share),
            running.memory_mb(),
        )


def _describe(models: Path) -> str:
    """What the machine gave at that time, which other programs may have shared."""
    path, cores = models / "cnn/1/model.onnx", len(os.sched_getaffinity(0))
    limit = run_in_process(path, "cnn", cores, CAPACITY_SECONDS)
    rate = f"{limit.requests_per_second:.0f} times a second"
    return f"After it ONNX Runtime alone, with no server, ran the CNN {rate} on {cores} threads."


def _run(load: Coroutine[Any, Any, Answers], seconds: float) -> tuple[Answers, float]:
    """The answers, and the load's share of the processors."""
    begin = time.process_time()
    answers = uvloop.run(load)
    return answers, (time.process_time() - begin) / seconds / len(os.sched_getaffinity(0))


def _make_table(measured: list[OverloadMeasurement]) -> Table:
    table = Table("server", "model", "load", box=box.MARKDOWN)
    for name in (
        *("capacity/s", "asked/s", "goodput / capacity", "for the processors left", "p50, ms", "p99, ms"),
        *("answers", "load's share", "memory, MB"),
    ):
        table.add_column(name, justify="right")
    for one in measured:
        table.add_row(
            *(one.server, one.model, one.load, f"{one.capacity:.0f}", f"{one.offered:.0f}"),
            *(f"{one.goodput:.2f}", f"{one.goodput_of_what_is_left:.2f}"),
            *(f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}"),
            ", ".join(f"{count} with {status or 'none'}" for status, count in one.statuses.items()),
            " → ".join(f"{share:.0%}" for share in one.shares),
            f"{one.memory_mb:.0f}",
        )
    return table


def _encode_request(path: str, content: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


if __name__ == "__main__":
    typer.run(main)
