"""What an experiment costs inference: processor time of a server's processes for a request, with and without.

Pairs of servers, one with an experiment on its model in which every unit is enrolled, are asked in turns by
the same connections for the same units. Prints a table and writes docs/results/experiment_cost.{md,json}.
"""

import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from onnx.parser import parse_model

from benchmarks.results import publish, show
from benchmarks.server_cost import (
    FORMATS,
    Case,
    Costs,
    Server,
    ask_all,
    compare_in_turns,
    serve,
    tabulate,
    write_request,
)

MODEL = """<ir_version: 10, opset_import: ["": 20]> digits (float[N, 1, 8, 8] image) => (float[N, 10] logits)
    <float[10, 1, 8, 8] weights = {%s}>
    { scores = Conv(image, weights) shape = Constant<value_ints = [0, 10]>() logits = Reshape(scores, shape) }
"""
DEFINITION = """experiments:
  - name: cost
    model: digits
    control: {name: control, version: 1}
    candidates: [{name: candidate, version: 1}]
    stages: {shadow_share: 0, steps: [100], auto_advance: false}
    metrics: [{name: right, kind: binary, is_primary: true}]
    guardrails: [{kind: error_rate}, {kind: latency}, {kind: nan}]
"""
WORKERS = (1, 2)
CASES = {
    "experiment": ("digits", "X-Adaptact-Unit"),
    "experiment, no unit named": ("digits", "X-Other"),
    "another model": ("others", "X-Adaptact-Unit"),
}
"""The model that is asked, and the header in which the unit stands."""
UNITS = 5000
IMAGE = (np.random.default_rng(0).integers(0, 17, (1, 1, 8, 8)) / 16).astype(np.float32)


def main(
    turns: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of asking, in one measurement.")] = 1.3,
    connections: Annotated[int, typer.Option(min=1, help="Connections at once.")] = 8,
    save: Annotated[bool, typer.Option(help="Whether the results are kept.")] = True,
) -> None:
    """Measure and publish."""
    costs: Costs = {}
    for workers in WORKERS:
        with tempfile.TemporaryDirectory() as folder, _serve_pair(Path(folder), workers) as pair:
            for server in pair:  # all units meet their variants, each of which is written once
                ask_all(server, _write_requests("digits", "JSON"), connections, count=2 * UNITS)
            cases: dict[Case, Sequence[bytes]] = {
                (str(workers), form, case): _write_requests(model, form, header)
                for case, (model, header) in CASES.items()
                for form in FORMATS
            }
            costs |= compare_in_turns(pair, cases, turns, seconds, connections)
    table, numbers = tabulate(("workers", "format", "asked for"), costs)
    title = "What an experiment costs: the server's processor time for a request"
    notes = (
        f"Medians of {turns} turns of {seconds:g} s of requests over {connections} connections, by {UNITS} "
        "units that have been seen before; `more` is the median of each turn's ratio, less 1. "
        "Where no unit is named each request is its own. `another model` is one without an experiment on the "
        "server that has one."
    )
    if save:
        publish("experiment_cost", title, table, numbers, notes)
    else:
        show(title, [table], notes)


def _write_models(folder: Path) -> None:
    """`digits`, whose one version is both variants: nothing but the experiment differs; and another."""
    for seed, place in enumerate(("digits/1", "others/1")):
        weights = np.random.default_rng(seed).normal(size=640)
        path = folder / place / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(parse_model(MODEL % ", ".join(map(str, weights))).SerializeToString())


@contextmanager
def _serve_pair(folder: Path, workers: int) -> Iterator[tuple[Server, Server]]:
    """A server without and one with an experiment."""
    _write_models(folder / "models")
    (folder / "experiments.yaml").write_text(DEFINITION)
    store = ("--experiments", str(folder / "experiments.yaml"), "--experiments-store", str(folder / "store"))
    with serve(folder / "models", workers) as plain, serve(folder / "models", workers, *store) as trial:
        url = f"http://127.0.0.1:{trial.port}/adaptact/v1/experiments/cost:start"
        urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST")).close()
        time.sleep(3)  # until all workers follow
        yield plain, trial


def _write_requests(model: str, form: str, header: str = "X-Adaptact-Unit") -> Sequence[bytes]:
    """A request for each unit, which the header names."""
    return [
        write_request(model, form, "image", IMAGE, f"{header}: unit-{number}\r\n") for number in range(UNITS)
    ]


if __name__ == "__main__":
    typer.run(main)
