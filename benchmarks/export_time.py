"""How long `adaptact-export` takes on a network of ResNet-18's size, stage by stage, and how much memory.

The command is run as a user runs it, in a process of its own, on random weights with learned activations.
Prints a table and writes docs/results/export_time.{md,json}. Budget: 20 s on two cores, parity included.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from adaptive_act import PELU, PReLU, model_factory, save, swap
from benchmarks.results import publish

BUDGET_SECONDS = 20.0
ACTIVATIONS = {"PReLU": (nn.ReLU, PReLU), "PELU": (nn.ELU, PELU)}
COMMAND = "import sys; from convert.commands.export import main; sys.argv[0] = 'adaptact-export'; main()"
IMPORTS = "import convert.commands.export"


@dataclass(frozen=True, slots=True)
class Export:
    """One run of the command, or the medians of several."""

    activation: str
    parameters: int
    seconds: float
    stages: dict[str, float]
    file_bytes: int
    peak_bytes: int
    imports_bytes: int
    """The peak of a process that only imports what the command imports."""


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int, plain: type[nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.act1 = plain()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.act2 = plain()
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        inner = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        result: Tensor = self.act2(inner + self.around(x))
        return result


@model_factory
def resnet18(activation: str = "ReLU", classes: int = 1000) -> nn.Sequential:
    """ResNet-18 (He et al. 2015) with the named plain activation: 11.7 million parameters."""
    plain: type[nn.Module] = getattr(nn, activation)
    widths = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    blocks = [
        block
        for inputs, outputs, stride in widths
        for block in (Block(inputs, outputs, stride, plain), Block(outputs, outputs, 1, plain))
    ]
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), plain(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def write_checkpoint(path: Path, name: str) -> int:
    """A checkpoint of random weights, its activations moved from their start; the number of parameters."""
    torch.manual_seed(0)
    plain, learned = ACTIVATIONS[name]
    model = swap(resnet18(plain.__name__), {plain: learned}).model
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    spec = {"name": "image", "dtype": "float32", "shape": [None, 3, 224, 224]}
    kwargs = {"activation": plain.__name__}
    save(model, path, factory="benchmarks.export_time:resnet18", factory_kwargs=kwargs, inputs=[spec])
    return sum(parameter.numel() for parameter in model.parameters())


def run(code: str, *arguments: str) -> tuple[float, int, str]:
    """(seconds, peak memory in bytes, what it said of its progress) of a Python process of its own."""
    began = time.perf_counter()
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.read() if process.stderr is not None else ""
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"export failed with exit status {process.returncode}: {said}")
    return seconds, usage.ru_maxrss * 1024, said


def measure(name: str, rounds: int, folder: Path) -> Export:
    """The median of several exports of ResNet-18 with the named activation."""
    source, destination = folder / f"{name}.pt", folder / f"{name}.onnx"
    parameters = write_checkpoint(source, name)
    _, imported, _ = run(IMPORTS)
    runs = [run(COMMAND, str(source), str(destination)) for _ in track(range(rounds), description=name)]
    stages = [dict(re.findall(r"^(\w+)\s+([\d.]+) s$", said, re.MULTILINE)) for _, _, said in runs]
    return Export(
        activation=name,
        parameters=parameters,
        seconds=statistics.median(seconds for seconds, _, _ in runs),
        stages={stage: statistics.median(float(taken[stage]) for taken in stages) for stage in stages[0]},
        file_bytes=destination.stat().st_size,
        peak_bytes=max(peak for _, peak, _ in runs),
        imports_bytes=imported,
    )


def table_of(results: list[Export]) -> Table:
    """The results, a column an activation."""
    table = Table("ResNet-18, 3×224×224", *(result.activation for result in results), box=box.MARKDOWN)
    table.add_row("parameters", *(f"{result.parameters:,}" for result in results))
    table.add_row("the whole command, s", *(f"{result.seconds:.1f}" for result in results))
    for stage in results[0].stages:
        table.add_row(f"{stage}, s", *(f"{result.stages[stage]:.2f}" for result in results))
    table.add_row("file, MB", *(f"{result.file_bytes / 1e6:.1f}" for result in results))
    table.add_row("peak memory, MB", *(f"{result.peak_bytes / 1e6:.0f}" for result in results))
    table.add_row("of it imports, MB", *(f"{result.imports_bytes / 1e6:.0f}" for result in results))
    return table


def main(rounds: Annotated[int, typer.Option(min=1, help="How often each model is exported.")] = 3) -> None:
    """Measure and publish; exit status 1 where the budget is missed."""
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(name, rounds, Path(folder)) for name in ACTIVATIONS]
    numbers = {"budget_seconds": BUDGET_SECONDS, "exports": [asdict(result) for result in results]}
    publish("export_time", "Exporting ResNet-18, parity included", table_of(results), numbers)
    if max(result.seconds for result in results) > BUDGET_SECONDS:
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
