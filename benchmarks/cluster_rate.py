"""What a cluster costs a server: a replica beside the same server by itself, in rate and processor time.

A server of one worker on one core, and a replica of `adaptact serve --cluster` of one core, are asked in
turns by the same connections; directly, and each through an HAProxy with the configuration of the cluster.
Prints a table and writes docs/results/cluster_rate.md and cluster_rate.json; takes four minutes. Needs `wrk`,
`haproxy` and the extra `cluster`.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer
from rich.box import MARKDOWN
from rich.table import Table

from benchmarks.results import publish, show
from benchmarks.servers.load import Body, binary_body, json_body, send_http_load
from benchmarks.servers.models import write_models
from benchmarks.servers.server import find_free_port
from serve.cluster.proxy import HaProxy
from serve.cluster.proxy_text import Address, ProxyOptions
from tests.replicas.nodes import RayNodes

MODEL = "mlp"
FORMS = {"JSON": json_body(MODEL), "binary": binary_body(MODEL)}
WAYS = {"directly": ("alone", "replica"), "through HAProxy": ("alone, HAProxy", "replica, HAProxy")}
LISTENING = psutil.CONN_LISTEN


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and the processes that answer them."""

    url: str
    server: int
    proxy: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """Requests a second, and the microseconds of processor time of the server and of HAProxy for each."""

    rate: float
    server: float
    proxy: float


Rounds = dict[str, list[Measured]]
"""By target."""


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 7,
    seconds: Annotated[int, typer.Option(min=1, help="Of asking, in one measurement.")] = 3,
    connections: Annotated[int, typer.Option(min=1, help="Connections at once.")] = 8,
    save_results: Annotated[bool, typer.Option("--save/--no-save", help="Whether results are kept.")] = True,
) -> None:
    """Measure and publish."""
    measured: dict[str, Rounds] = {form: {} for form in FORMS}
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="r-") as name, ExitStack() as closing:
        folder = Path(name)
        write_models(folder / "models")
        targets = closing.enter_context(_running(folder))
        for number in range(rounds):
            for form, body in FORMS.items():
                for target in list(targets) if number % 2 == 0 else list(reversed(targets)):
                    one = _measure(targets[target], body, connections, seconds)
                    measured[form].setdefault(target, []).append(one)
    table, numbers = _tabulate(measured)
    title = "What a cluster costs a server"
    notes = (
        f"Medians of {rounds} rounds of {seconds} s, {connections} connections to an MLP 784-128-10 on one "
        "worker and one core: requests a second, and processor time a request. Ratios are medians of each "
        "round's. On one machine, whose cores HAProxy and `wrk` share with the servers."
    )
    if save_results:
        publish("cluster_rate", title, table, numbers, notes)
    else:
        show(title, [table], notes)


def _measure(target: Target, body: Body, connections: int, seconds: int) -> Measured:
    before = _read_seconds(target.server), _read_seconds(target.proxy)
    load = send_http_load(f"{target.url}/v2/models/{MODEL}/infer", body, connections, seconds)
    requests = load.requests_per_second * seconds / 1e6
    server, proxy = _read_seconds(target.server) - before[0], _read_seconds(target.proxy) - before[1]
    return Measured(load.requests_per_second, server / requests, proxy / requests)


def _read_seconds(pid: int | None) -> float:
    """Processor time so far, of a process and those it has started."""
    if pid is None:
        return 0.0
    process = psutil.Process(pid)
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _tabulate(measured: dict[str, Rounds]) -> tuple[Table, dict[str, Any]]:
    columns = (
        "alone, req/s",
        "replica, req/s",
        "ratio",
        "alone, us",
        "replica, us",
        "ratio of us",
        "HAProxy, us",
    )
    table = Table("format", "way", *columns, box=MARKDOWN)
    numbers = {}
    for form, rounds in measured.items():
        for way, (alone, replica) in WAYS.items():
            pairs = list(zip(rounds[alone], rounds[replica], strict=True))
            row = {
                "alone": median(one.rate for one, _ in pairs),
                "replica": median(one.rate for _, one in pairs),
                "ratio": median(mine.rate / other.rate for other, mine in pairs),
                "alone_us": median(one.server for one, _ in pairs),
                "replica_us": median(one.server for _, one in pairs),
                "ratio_us": median(mine.server / other.server for other, mine in pairs),
                "proxy_us": median(one.proxy for _, one in pairs),
            }
            formats = (",.0f", ",.0f", ".2f", ".0f", ".0f", ".2f", ".0f")
            table.add_row(form, way, *map(format, row.values(), formats))
            numbers[f"{form}, {way}"] = row
    return table, {"measured": numbers}


@contextmanager
def _running(folder: Path) -> Iterator[dict[str, Target]]:
    """Each target by its name."""
    core = min(os.sched_getaffinity(0))  # the first one, which the replica takes too
    with ExitStack() as closing:
        alone, server = closing.enter_context(_serve_alone(folder, core))
        options = ProxyOptions("127.0.0.1", find_free_port(), 0, slots=4)
        proxy = HaProxy(folder / "proxy", options)
        closing.callback(proxy.stop)
        proxy.open({"replica-1": Address("127.0.0.1", alone)})
        port, replica = closing.enter_context(_serve_on_cluster(folder))
        answering = _find_listener(int(replica.rpartition(":")[2]))
        yield {
            "alone": Target(f"http://127.0.0.1:{alone}", server),
            "replica": Target(f"http://{replica}", answering),
            "alone, HAProxy": Target(
                f"http://127.0.0.1:{options.port}", server, _find_listener(options.port)
            ),
            "replica, HAProxy": Target(f"http://127.0.0.1:{port}", answering, _find_listener(port)),
        }


@contextmanager
def _serve_alone(folder: Path, core: int) -> Iterator[tuple[int, int]]:
    """The port and the process of a server on this core."""
    command = [sys.executable, "-m", "adaptact", "serve", "--models", str(folder / "models"), "--port", "0"]
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command, "--workers", "1", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(json.loads(process.stdout.readline())["url"].rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _serve_on_cluster(folder: Path) -> Iterator[tuple[int, str]]:
    """The proxy's port, and the address of the one replica."""
    port = find_free_port()
    own = [sys.executable, "-m", "adaptact"]
    with RayNodes(folder, nodes=0, cores=0, head_cores=2) as nodes:
        command = [*own, "serve", "--cluster", nodes.address, "--port", str(port), "--workers", "1", "--json"]
        command += ["--models", str(folder / "models"), "--state", str(folder / "state")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=nodes.environment)
        try:
            assert process.stdout is not None
            json.loads(process.stdout.readline())
            asked = [*own, "cluster", "status", "--address", nodes.address, "--json"]
            status = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
            (replica,) = status["replicas"]
            yield port, f"{replica['host']}:{replica['port']}"
        finally:
            subprocess.run([*own, "cluster", "stop", "--address", nodes.address], check=False)
            process.wait()


def _find_listener(port: int) -> int:
    """The process that was started first of those that listen on the port."""
    pids = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == LISTENING and connection.pid and getattr(connection.laddr, "port", 0) == port
    }
    return min(pids, key=lambda pid: psutil.Process(pid).create_time())


if __name__ == "__main__":
    typer.run(main)
