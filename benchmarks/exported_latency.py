"""What an exported activation costs: the same network with ReLU, and the file that torch writes by itself.

Prints a table and writes docs/results/exported_latency.{md,json}. Budgets, as geometric means over the
activations: at most 1.08 of the ReLU network, at most 0.75 of torch.onnx.export's file.
"""

import itertools
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
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

from adaptive_act import ACTIVATIONS, Activation, model_factory, named_activations, save, swap
from benchmarks.results import publish
from convert.latency import latency
from convert.pipeline import convert
from convert.quiet import quiet_torch

GRANULARITIES = ("shared", "per channel")
WIDTHS = (3, 32, 64, 64, 128, 128, 128)
NETWORK, FACTORY, SHAPE = "six convolutions", "benchmarks.exported_latency:build_convolutions", (1, 3, 32, 32)


@dataclass(frozen=True, slots=True)
class Row:
    """Times of one prediction as ratios: our and torch's file to the ReLU network, and ours to torch's."""

    network: str
    activation: str
    parameters: str
    ours: float
    torch: float
    ratio: float


@model_factory
def build_convolutions() -> nn.Module:
    """Six 3x3 convolutions with ReLU, 32 to 128 channels, for images [n, 3, 32, 32]."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10))


def main(
    rounds: Annotated[int, typer.Option(help="Turns that each file takes.")] = 20,
    granularity: Annotated[
        list[str] | None, typer.Option(help="`shared` or `per channel`; both if not given.")
    ] = None,
) -> None:
    """Measure every activation, shared and per channel."""
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(Path(folder), granularity or list(GRANULARITIES), rounds)
    table = Table(box=box.MARKDOWN)
    for column in (
        "network",
        "activation",
        "parameters",
        "adaptact / ReLU",
        "torch's / ReLU",
        "adaptact / torch's",
    ):
        table.add_column(
            column, justify="left" if column in ("network", "activation", "parameters") else "right"
        )
    for row in rows:
        table.add_row(
            row.network,
            row.activation,
            row.parameters,
            f"{row.ours:.2f}",
            f"{row.torch:.2f}",
            f"{row.ratio:.2f}",
        )
    numbers = {"rows": [asdict(row) for row in rows]}
    publish("exported_latency", "Time of one prediction, one thread, as a ratio", table, numbers)


def _measure(folder: Path, granularities: list[str], rounds: int) -> list[Row]:
    feed: NDArray[np.float32] = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    plain, _ = _files(build_convolutions(), folder / "relu")
    rows: list[Row] = []
    for name, granularity in track(_cases(granularities), description=NETWORK):
        model = _adaptive(name, per_channel=granularity == "per channel")
        ours, torchs = _files(model, folder / f"{name} {granularity}")
        times = latency(
            {"plain": plain, "ours": ours, "torch": torchs}, {"x": feed}, rounds, lambda count: None
        )
        ratios = (
            times["ours"] / times["plain"],
            times["torch"] / times["plain"],
            times["ours"] / times["torch"],
        )
        rows.append(Row(NETWORK, name, granularity, *ratios))
    return [*rows, _summary("geometric mean", statistics.geometric_mean, rows), _summary("worst", max, rows)]


def _cases(granularities: list[str]) -> list[tuple[str, str]]:
    """Every activation with each granularity that it has: what sees the whole input shares nothing."""
    pairs = [(name, granularity) for name in ACTIVATIONS for granularity in granularities]
    return [(n, g) for n, g in pairs if ACTIVATIONS[n].elementwise or g == "per channel"]


def _summary(name: str, of: Callable[[list[float]], float], rows: list[Row]) -> Row:
    columns = ([row.ours for row in rows], [row.torch for row in rows], [row.ratio for row in rows])
    return Row(rows[0].network, name, "", *map(of, columns))


def _adaptive(name: str, per_channel: bool) -> nn.Module:
    """The network with an activation away from its start, as after training."""
    torch.manual_seed(0)
    example = torch.zeros(SHAPE)
    plain = build_convolutions()
    kinds: dict[type[nn.Module], type[Activation]] = {nn.ReLU: ACTIVATIONS[name]}
    model = swap(plain, kinds, preserve=False, per_channel=per_channel, example=example).model
    with torch.no_grad():
        for activation in named_activations(model).values():
            for parameter in activation.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def _files(model: nn.Module, folder: Path) -> tuple[Path, Path]:
    """adaptact's file and torch's."""
    folder.mkdir(parents=True)
    shape = SHAPE
    spec = {"name": "x", "dtype": "float32", "shape": [None, *shape[1:]]}
    save(model.eval(), folder / "model.pt", factory=FACTORY, inputs=[spec])
    convert(folder / "model.pt", folder / "ours.onnx", factory=FACTORY)
    with quiet_torch():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, *shape[1:]),),
            dynamo=True,
            input_names=["x"],
            dynamic_shapes=({0: "batch"},),
        )
    assert program is not None
    program.save(folder / "torch.onnx", external_data=False)
    return folder / "ours.onnx", folder / "torch.onnx"


if __name__ == "__main__":
    typer.run(main)
