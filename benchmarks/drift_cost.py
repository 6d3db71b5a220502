"""What watching drift costs: processor time of a server's processes for a request, with and without.

Pairs of servers of the same files, which hold a baseline, are asked in turns by the same connections, for
longer than it takes until values are counted; one of each pair has `--no-drift`. Prints a table and writes
docs/results/drift_cost.{md,json}.
"""

import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich import box
from rich.progress import track
from rich.table import Table
from torch import nn

from adaptive_act import PReLU, model_factory, save, swap
from benchmarks.networks import NETWORKS
from benchmarks.results import publish, show
from benchmarks.server_cost import FORMATS, compare, measure, serve, write_request
from convert.pipeline import convert

SHAPES = {"table": (16,), "MLP": NETWORKS["MLP"].shape, "CNN": NETWORKS["CNN"].shape}
"""One row of each model: a table of 16 columns, rows of 784 numbers, images of 3 x 32 x 32."""
ROWS = 200
UNITS = 200
SHARE = {"CNN": 0.02}
"""Of the requests: a run takes milliseconds."""


@model_factory
def table() -> nn.Module:
    """16-32-4, for rows [n, 16]."""
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))


def main(
    turns: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 9,
    requests: Annotated[int, typer.Option(min=80, help="Requests in one measurement.")] = 64_000,
    connections: Annotated[int, typer.Option(min=1, help="Connections at once.")] = 8,
    workers: Annotated[int, typer.Option(min=1, help="Workers of each server.")] = 1,
    save_results: Annotated[bool, typer.Option("--save/--no-save", help="Whether results are kept.")] = True,
) -> None:
    """Measure and publish."""
    costs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "models"
        for model in SHAPES:
            _write_model(model, folder)
        with serve(folder, workers, "--no-drift") as plain, serve(folder, workers) as watched:
            for turn in track(range(turns)):
                for model in SHAPES:
                    for form in FORMATS:
                        data = _write_requests(model, form)
                        count = max(int(SHARE.get(model, 1) * requests), connections)
                        order = (plain, watched) if turn % 2 else (watched, plain)
                        spent = {each: measure(each, data, count, connections) for each in order}
                        costs.setdefault((model, form), []).append((spent[plain], spent[watched]))
    _show(costs, turns, requests, connections, workers, save=save_results)


def _write_model(name: str, folder: Path) -> None:
    """The network with PReLU in place of ReLU, and with a baseline of normal samples."""
    torch.manual_seed(0)
    network = NETWORKS.get(name)
    plain = network.build() if network is not None else table()
    factory = network.factory if network is not None else f"{__name__}:{table.__name__}"
    shape = SHAPES[name]
    model = swap(plain, {nn.ReLU: PReLU}, example=torch.zeros(2, *shape)).model.eval()
    path = folder / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    checkpoint, samples = folder.parent / f"{name}.pt", folder.parent / f"{name}.npz"
    spec = {"name": "x", "dtype": "float32", "shape": [None, *shape]}
    save(model, checkpoint, factory=factory, inputs=[spec])
    np.savez(samples, x=_draw(ROWS, shape))
    convert(checkpoint, path, samples=samples)


def _draw(rows: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(rows, *shape)).astype(np.float32)


def _write_requests(model: str, form: str) -> Sequence[bytes]:
    """Requests of one row each."""
    return [write_request(model, form, "x", row[None]) for row in _draw(UNITS, SHAPES[model])]


def _show(
    costs: Mapping[tuple[str, str], Sequence[tuple[float, float]]],
    turns: int,
    requests: int,
    connections: int,
    workers: int,
    *,
    save: bool,
) -> None:
    shown = Table(box=box.MARKDOWN)
    for column in ("model", "format", "without, µs", "with, µs", "more", "95 % interval"):
        shown.add_column(column, justify="right" if "µs" in column or "%" in column else "left")
    numbers = {}
    for (model, form), pairs in costs.items():
        plain, watched = (statistics.median(column) for column in zip(*pairs, strict=True))
        more, low, high = compare(np.array(pairs))
        shown.add_row(
            *(model, form, f"{plain:.1f}", f"{watched:.1f}", f"{more:+.1%}", f"{low:+.1%} to {high:+.1%}")
        )
        numbers[f"{model}, {form}"] = {"without": plain, "with": watched, "more": more}
    title = "What watching drift costs: the server's processor time for a request"
    notes = (
        f"Medians of {turns} turns of {requests} requests (a fiftieth of that for the CNN) of one row over "
        f"{connections} connections to {workers} worker(s), with what is counted and run in other threads; "
        "`more` is the median of each turn's ratio, less 1. A table of 16 columns, an MLP 784-128-128-10, "
        "and a CNN of six convolutions on images of 3 x 32 x 32, all with PReLU."
    )
    if save:
        publish("drift_cost", title, shown, numbers, notes)
    else:
        show(title, [shown], notes)


if __name__ == "__main__":
    typer.run(main)
