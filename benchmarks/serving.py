"""adaptact's server compared with others: requests a second, latency, errors, memory and cold start.

Each server is started in turn, in its own environment, with the same two models on one thread a run, and gets
the same load from `wrk` on the same machine. Rounds are repeated, so that drift affects all alike; of
each cell the median counts. Prints tables and writes docs/results/serving.{md,json}.

Needs `wrk`. The peers live in environments of their own, below the folder that `--peers` names:
`mlserver`, `litserve` and `pytriton`, each with onnxruntime; a missing one is left out and reported.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from benchmarks.servers.load import (
    LoadMeasurement,
    binary_body,
    json_body,
    run_in_process,
    send_grpc_load,
    send_http_load,
)
from benchmarks.servers.models import SHAPES, write_models
from benchmarks.servers.plans import PEERS, Form, ServedModel
from benchmarks.servers.server import run_server
from benchmarks.servers.tables import LIMIT, show
from serve.settings import Settings
from serve.workers.count import count_workers

BUILD = Path("build/serving")


@dataclass(frozen=True, slots=True)
class ServingTurn:
    """One start of one server for one model."""

    round: int
    server: str
    model: str
    workers: int


def main(  # noqa: PLR0913, PLR0917  # the options of a command
    peers: Annotated[Path, typer.Option(help="Folder of the peers' environments.")] = Path("build/peers"),
    rounds: Annotated[int, typer.Option(min=1, help="How often every server is started and measured.")] = 3,
    seconds: Annotated[int, typer.Option(min=1, help="How long each cell is measured.")] = 2,
    only: Annotated[list[str] | None, typer.Option(help="Only these servers.")] = None,
    clients: Annotated[str, typer.Option(help="Numbers of clients.")] = "1,8,32",
    workers: Annotated[str, typer.Option(help="Numbers of workers.")] = "1,2",
    publish: Annotated[bool, typer.Option(help="Write docs/results/serving.")] = True,
) -> None:
    """Measure every server, and publish."""
    if shutil.which("wrk") is None:
        raise SystemExit("`wrk` is missing: install the package of that name")
    write_models(BUILD / "models")
    counts = [int(number) for number in clients.split(",")]
    names, missing = _find_present(only or [LIMIT, *PEERS], peers)
    turns = list(_turns(names, rounds, [int(number) for number in workers.split(",")]))
    records = []
    with Progress() as progress:
        task = progress.add_task("servers", total=len(turns))
        for turn in turns:
            progress.update(task, description=f"{turn.server}, {turn.model}, {turn.workers} workers")
            records += _measure(turn, counts, seconds, peers)
            progress.advance(task)
    default_workers = count_workers(Settings(models=BUILD / "models")).number
    numbers = {
        "rounds": rounds,
        "seconds": seconds,
        "default_workers": default_workers,
        "missing": missing,
        "cells": records,
    }
    BUILD.joinpath("cells.json").write_text(json.dumps(numbers, indent=1))
    show(numbers, publish)


def _find_present(names: Iterable[str], peers: Path) -> tuple[list[str], list[str]]:
    """The servers that can be started here, and those whose environment is missing."""
    present: list[str] = []
    missing: list[str] = []
    for name in names:
        environment = PEERS[name].environment if name in PEERS else ""
        (missing if environment and not (peers / environment).is_dir() else present).append(name)
    return present, missing


def _turns(names: list[str], rounds: int, workers: list[int]) -> Iterator[ServingTurn]:
    """Every server once in each round, in the other direction every other time."""
    for number in range(rounds):
        for count in workers:
            for model in SHAPES:
                for name in names if number % 2 == 0 else reversed(names):
                    yield ServingTurn(number, name, model, count)


def _measure(turn: ServingTurn, counts: list[int], seconds: int, peers: Path) -> list[dict[str, Any]]:
    models = (BUILD / "models").resolve()
    described = asdict(turn)
    if turn.server == LIMIT:
        measurement = run_in_process(models / turn.model / "1/model.onnx", turn.model, turn.workers, seconds)
        return [described | {"form": "none", "clients": turn.workers} | asdict(measurement)]
    peer = PEERS[turn.server]
    path = f"/v2/models/{turn.model}/infer"
    records = []
    plan = peer.plan(ServedModel(models, turn.model, turn.workers, peers.resolve()))
    with run_server(plan, path, json_body(turn.model).content) as server:
        for form in peer.forms:
            _send_load(form, server.url + path, server.grpc_address, turn.model, (8, 1))  # warm
            for count in counts:
                url = server.url + path
                measurement = _send_load(form, url, server.grpc_address, turn.model, (count, seconds))
                records.append(described | {"form": form, "clients": count} | asdict(measurement))
        after = {"memory_mb": server.memory_mb(), "cold_start_seconds": server.cold_start_seconds}
    return [record | after for record in records]


def _send_load(form: Form, url: str, grpc: str | None, model: str, load: tuple[int, int]) -> LoadMeasurement:
    clients, seconds = load
    if form == "grpc":
        assert grpc is not None
        return send_grpc_load(grpc, model, clients, seconds)
    body = json_body(model) if form == "json" else binary_body(model)
    return send_http_load(url, body, clients, seconds)


if __name__ == "__main__":
    typer.run(main)
