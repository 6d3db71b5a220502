"""The time of `adaptact-export` on a network of ResNet-18's size, stage by stage, and its memory.

The command is run as a user runs it, in a process of its own, on random weights with learned activations.
Prints a table and writes docs/results/export_time.{md,json}. Budgets: 20 s on two cores, parity included, and
three times the model's size beyond the peak of a process that loads it and exports it by torch alone.
"""

import re
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import nn

from adaptive_act import PELU, PReLU, load, save, swap
from benchmarks.models.resnet import resnet18
from benchmarks.processes import EXPORT, run
from benchmarks.results import publish
from benchmarks.rivals import export_with_torch

BUDGET_SECONDS, BUDGET_SIZES = 20.0, 3.0
SHAPE = (3, 224, 224)
ACTIVATIONS = {"PReLU": (nn.ReLU, PReLU), "PELU": (nn.ELU, PELU)}
TORCHS = "import sys; from benchmarks.export_time import write_torch_file; write_torch_file(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class ExportMeasurement:
    """One run of the command, or the medians of several."""

    activation: str
    parameters: int
    seconds: float
    stages: dict[str, float]
    file_bytes: int
    peak_bytes: int
    torchs_bytes: int
    """The peak of a process that loads the checkpoint and exports it by torch alone."""

    @property
    def sizes_beyond(self) -> float:
        """The peak beyond torch's, as a multiple of the model's size."""
        return (self.peak_bytes - self.torchs_bytes) / self.file_bytes

    @property
    def within(self) -> bool:
        """Whether both budgets are met."""
        return self.seconds <= BUDGET_SECONDS and self.sizes_beyond <= BUDGET_SIZES


def write_checkpoint(path: Path, name: str) -> int:
    """A checkpoint of random weights, its activations moved from their start; the number of parameters."""
    torch.manual_seed(0)
    plain, learned = ACTIVATIONS[name]
    model = swap(resnet18(plain.__name__), {plain: learned}).model
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    spec = {"name": "image", "dtype": "float32", "shape": [None, *SHAPE]}
    kwargs = {"activation": plain.__name__}
    save(model, path, factory="benchmarks.models.resnet:resnet18", factory_kwargs=kwargs, inputs=[spec])
    return sum(parameter.numel() for parameter in model.parameters())


def write_torch_file(source: str, destination: str) -> None:
    """Writes torch.onnx.export's file of the checkpoint to the destination."""
    export_with_torch(
        load(Path(source)).model, (torch.zeros(2, *SHAPE),), ("image",), Path(destination), free=True
    )


def measure(name: str, rounds: int, folder: Path) -> ExportMeasurement:
    """The median of several exports of ResNet-18 with the named activation."""
    source, destination = folder / f"{name}.pt", folder / f"{name}.onnx"
    parameters = write_checkpoint(source, name)
    alone = run(TORCHS, str(source), str(folder / "torch.onnx")).require_success()
    runs = [
        run(EXPORT, str(source), str(destination)).require_success()
        for _ in track(range(rounds), description=name)
    ]
    stages = [dict(re.findall(r"^(\w+)\s+([\d.]+) s$", process.progress, re.MULTILINE)) for process in runs]
    return ExportMeasurement(
        activation=name,
        parameters=parameters,
        seconds=statistics.median(process.seconds for process in runs),
        stages={
            stage: statistics.median(float(seconds_of[stage]) for seconds_of in stages) for stage in stages[0]
        },
        file_bytes=destination.stat().st_size,
        peak_bytes=max(process.peak_bytes for process in runs),
        torchs_bytes=alone.peak_bytes,
    )


def make_table(results: list[ExportMeasurement]) -> Table:
    """The results, one column for each activation."""
    table = Table("ResNet-18, 3×224×224", *(result.activation for result in results), box=box.MARKDOWN)
    table.add_row("parameters", *(f"{result.parameters:,}" for result in results))
    table.add_row("the whole command, s", *(f"{result.seconds:.1f}" for result in results))
    for stage in results[0].stages:
        table.add_row(f"{stage}, s", *(f"{result.stages[stage]:.2f}" for result in results))
    table.add_row("file, MB", *(f"{result.file_bytes / 1e6:.1f}" for result in results))
    table.add_row("peak memory, MB", *(f"{result.peak_bytes / 1e6:.0f}" for result in results))
    table.add_row("torch.onnx.export's, MB", *(f"{result.torchs_bytes / 1e6:.0f}" for result in results))
    table.add_row("beyond that, of the file's size", *(f"{result.sizes_beyond:.1f}" for result in results))
    table.add_row("budgets", *("met" if result.within else "**not met**" for result in results))
    return table


def main(rounds: Annotated[int, typer.Option(min=1, help="How often each model is exported.")] = 3) -> None:
    """Measure and publish; exit status 1 where a budget is missed."""
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(name, rounds, Path(folder)) for name in ACTIVATIONS]
    numbers = {
        "budget_seconds": BUDGET_SECONDS,
        "budget_sizes": BUDGET_SIZES,
        "exports": [asdict(result) for result in results],
    }
    publish("export_time", "Exporting ResNet-18, parity included", make_table(results), numbers)
    if not all(result.within for result in results):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
