"""What watching drift costs: processor time of a server's processes for a request, with and without.

Pairs of servers of the same files, which hold a baseline, are asked in turns by the same connections, each
for longer than it takes until values are counted; one of each pair has `--no-drift`. Everything else is as by
default: what reaches each activation is watched too. Prints a table and writes docs/results/drift_cost.md and
drift_cost.json; takes seven minutes.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import nn

from adaptive_act import PReLU, model_factory, save, swap
from benchmarks.networks import NETWORKS
from benchmarks.results import publish, show
from benchmarks.server_cost import FORMATS, Case, compare_in_turns, serve, tabulate, write_request
from convert.pipeline import convert

SHAPES = {"wide table": (64,), "MLP": NETWORKS["MLP"].shape, "CNN": NETWORKS["CNN"].shape}
"""One row of each model: 64 columns, 784 numbers, an image of 3 x 32 x 32."""
ROWS = 200
UNITS = 200


@model_factory
def table() -> nn.Module:
    """64-32-4, for rows [n, 64]."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def main(
    turns: Annotated[int, typer.Option(min=1, help="How often everything is measured.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of asking, in one measurement.")] = 5.0,
    connections: Annotated[int, typer.Option(min=1, help="Connections at once.")] = 8,
    workers: Annotated[int, typer.Option(min=1, help="Workers of each server.")] = 1,
    save_results: Annotated[bool, typer.Option("--save/--no-save", help="Whether results are kept.")] = True,
) -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "models"
        for model in SHAPES:
            _write_model(model, folder)
        cases: dict[Case, Sequence[bytes]] = {
            (model, form): _write_requests(model, form) for model in SHAPES for form in FORMATS
        }
        with serve(folder, workers, "--no-drift") as plain, serve(folder, workers) as watched:
            costs = compare_in_turns((plain, watched), cases, turns, seconds, connections)
    shown, numbers = tabulate(("model", "format"), costs)
    title = "What watching drift costs: the server's processor time for a request"
    notes = (
        f"Medians of {turns} turns of {seconds:g} s of requests of one row over {connections} connections to "
        f"{workers} worker(s), with what is counted and run in other threads; `more` is the median of each "
        "turn's ratio, less 1. An MLP 64-32-4 on a table, each column of which is watched, an MLP "
        "784-128-128-10, and a CNN of six convolutions on images of 3 x 32 x 32, all with PReLU, whose "
        "inputs are watched too."
    )
    if save_results:
        publish("drift_cost", title, shown, numbers, notes)
    else:
        show(title, [shown], notes)


def _write_model(name: str, folder: Path) -> None:
    """The network with PReLU in place of ReLU, and with a baseline of normal samples."""
    torch.manual_seed(0)
    network, shape = NETWORKS.get(name), SHAPES[name]
    plain = table() if network is None else network.build()
    factory = f"{__name__}:{table.__name__}" if network is None else network.factory
    model = swap(plain, {nn.ReLU: PReLU}, example=torch.zeros(2, *shape)).model.eval()
    path = folder / _name_model(name) / "1" / "model.onnx"
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
    return [write_request(_name_model(model), form, "x", row[None]) for row in _draw(UNITS, SHAPES[model])]


def _name_model(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    typer.run(main)
