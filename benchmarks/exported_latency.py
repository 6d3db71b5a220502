"""What an exported activation costs: the same network with ReLU, and the file that torch writes by itself.

Prints a table and writes docs/results/exported_latency.{md,json}. Budgets, as geometric means over the
activations: at most 1.08 of the ReLU network, at most 0.75 of torch.onnx.export's file.
"""

import itertools
import statistics
import tempfile
from dataclasses import dataclass
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
from convert.pipeline import convert
from convert.quiet import quiet_torch
from examples.digits.latency import latency
from examples.digits.model import build as build_digits

WIDTHS = (3, 32, 64, 64, 128, 128, 128)


@dataclass(frozen=True, slots=True)
class Network:
    """A network with ReLU and the shape [1, ...] of one example."""

    factory: str
    shape: tuple[int, ...]

    def build(self) -> nn.Module:
        """The network with new weights."""
        return build_digits() if self.factory.startswith("examples") else build_convolutions()


NETWORKS = {
    "digits": Network("examples.digits.model:build", (1, 1, 8, 8)),
    "six convolutions": Network("benchmarks.exported_latency:build_convolutions", (1, 3, 32, 32)),
}


@model_factory
def build_convolutions() -> nn.Module:
    """Six 3x3 convolutions with ReLU, 32 to 128 channels, for images [n, 3, 32, 32]."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(WIDTHS):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTHS[-1], 10))


def main(rounds: Annotated[int, typer.Option(help="Turns that each file takes.")] = 12) -> None:
    """Measure every activation in both networks, shared and per channel."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for network in NETWORKS:
            rows += _measure(network, Path(folder), rounds)
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
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    publish("exported_latency", "Time of one prediction, one thread, as a ratio", table, {"rows": rows})


def _measure(network: str, folder: Path, rounds: int) -> list[dict[str, object]]:
    feed: NDArray[np.float32] = np.random.default_rng(0).standard_normal(NETWORKS[network].shape, np.float32)
    plain = _files(network, NETWORKS[network].build(), folder / network / "relu")
    rows: list[dict[str, object]] = []
    cases = [(name, per_channel) for name in ACTIVATIONS for per_channel in (False, True)]
    for name, per_channel in track(cases, description=network):
        files = _files(
            network, _adaptive(network, name, per_channel), folder / network / f"{name}{per_channel}"
        )
        turns = {"plain": plain[0], "ours": files[0], "torch": files[1]}
        times = latency(turns, {"x": feed}, rounds, lambda count: None)
        ours, torchs = times["ours"] / times["plain"], times["torch"] / times["plain"]
        rows.append(_row(network, name, "per channel" if per_channel else "shared", ours, torchs))
    means = [statistics.geometric_mean(float(str(row[key])) for row in rows) for key in ("ours", "torch")]
    rows.append(_row(network, "geometric mean", "", *means))
    rows.append(
        _row(network, "worst", "", *(max(float(str(row[key])) for row in rows) for key in ("ours", "torch")))
    )
    return rows


def _row(network: str, name: str, parameters: str, ours: float, torchs: float) -> dict[str, object]:
    return {
        "network": network,
        "activation": name,
        "parameters": parameters,
        "ours": ours,
        "torch": torchs,
        "ratio": ours / torchs,
    }


def _adaptive(network: str, name: str, per_channel: bool) -> nn.Module:
    """The network with an activation away from its start, as after training."""
    torch.manual_seed(0)
    example = torch.zeros(NETWORKS[network].shape)
    plain = NETWORKS[network].build()
    kinds: dict[type[nn.Module], type[Activation]] = {nn.ReLU: ACTIVATIONS[name]}
    model = swap(plain, kinds, preserve=False, per_channel=per_channel, example=example).model
    with torch.no_grad():
        for activation in named_activations(model).values():
            for parameter in activation.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.eval()


def _files(network: str, model: nn.Module, folder: Path) -> tuple[Path, Path]:
    """adaptact's file and torch's."""
    folder.mkdir(parents=True)
    shape = NETWORKS[network].shape
    spec = {"name": "x", "dtype": "float32", "shape": [None, *shape[1:]]}
    save(model.eval(), folder / "model.pt", factory=NETWORKS[network].factory, inputs=[spec])
    convert(folder / "model.pt", folder / "ours.onnx", factory=NETWORKS[network].factory)
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
