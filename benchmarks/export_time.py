"""The time of `adaptact-export` on networks of 18 layers, stage by stage, and its memory.

The command is run as a user runs it, in a process of its own, on random weights: ResNet-18 with learned
activations, and IResNet-18, half of whose weights are in one linear layer.
Prints tables and writes docs/results/export_time.{md,json} and export_memory.{md,json}; the second, which a
busy machine leaves as it is, alone with --memory. Budgets: 20 s on two cores, parity included, and three
times the size of the model beyond the peak of a process that loads it and exports it by torch alone.
"""

import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import nn

from adaptive_act import PELU, PReLU, load, save, swap
from benchmarks.models.iresnet import FACE, iresnet18
from benchmarks.models.resnet import resnet18
from benchmarks.processes import EXPORT, run
from benchmarks.results import publish
from benchmarks.rivals import export_with_torch

BUDGET_SECONDS, BUDGET_SIZES = 20.0, 3.0
TIMES = ("seconds", "stages")
TORCHS = "import sys; from benchmarks.export_time import write_torch_file; write_torch_file(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class Subject:
    """A network by its factory, the shape of one image, and what each plain activation is swapped for."""

    build: Callable[..., nn.Module]
    shape: tuple[int, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    swaps: Mapping[type[nn.Module], Any] = field(default_factory=dict)

    @property
    def factory(self) -> str:
        """The factory that a checkpoint names."""
        return f"{self.build.__module__}:{self.build.__name__}"


SUBJECTS = {
    "ResNet-18, PReLU": Subject(resnet18, (3, 224, 224), {"activation": "ReLU"}, {nn.ReLU: PReLU}),
    "ResNet-18, PELU": Subject(resnet18, (3, 224, 224), {"activation": "ELU"}, {nn.ELU: PELU}),
    "IResNet-18": Subject(iresnet18, (3, FACE, FACE)),
}


@dataclass(frozen=True, slots=True)
class ExportMeasurement:
    """One run of the command, or the medians of several."""

    subject: str
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
    def is_fast(self) -> bool:
        """Whether it keeps to the budget of seconds."""
        return self.seconds <= BUDGET_SECONDS

    @property
    def is_small(self) -> bool:
        """Whether it keeps to the budget of memory."""
        return self.sizes_beyond <= BUDGET_SIZES


def write_checkpoint(path: Path, subject: Subject) -> int:
    """A checkpoint of random weights, its activations moved from their start; the number of parameters."""
    torch.manual_seed(0)
    model = subject.build(**subject.kwargs)
    if subject.swaps:
        model = swap(model, subject.swaps).model
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    spec = {"name": "image", "dtype": "float32", "shape": [None, *subject.shape]}
    save(model, path, factory=subject.factory, factory_kwargs=subject.kwargs, inputs=[spec])
    return sum(parameter.numel() for parameter in model.parameters())


def write_torch_file(source: str, destination: str) -> None:
    """Writes torch.onnx.export's file of the checkpoint to the destination."""
    checkpoint = load(Path(source))
    example = torch.zeros(
        2, *(size if isinstance(size, int) else 1 for size in checkpoint.inputs[0].shape[1:])
    )
    export_with_torch(checkpoint.model, (example,), ("image",), Path(destination), free=True)


def measure(name: str, rounds: int, folder: Path) -> ExportMeasurement:
    """The median of several exports of the named subject."""
    source, destination = folder / "model.pt", folder / "model.onnx"
    parameters = write_checkpoint(source, SUBJECTS[name])
    alone = run(TORCHS, str(source), str(folder / "torch.onnx")).require_success()
    runs = [
        run(EXPORT, str(source), str(destination)).require_success()
        for _ in track(range(rounds), description=name)
    ]
    stages = [dict(re.findall(r"^(\w+)\s+([\d.]+) s$", process.progress, re.MULTILINE)) for process in runs]
    return ExportMeasurement(
        subject=name,
        parameters=parameters,
        seconds=statistics.median(process.seconds for process in runs),
        stages={
            stage: statistics.median(float(seconds_of[stage]) for seconds_of in stages) for stage in stages[0]
        },
        file_bytes=destination.stat().st_size,
        peak_bytes=max(process.peak_bytes for process in runs),
        torchs_bytes=alone.peak_bytes,
    )


def tabulate_time(results: list[ExportMeasurement]) -> Table:
    """The seconds, one column for each subject."""
    table = Table("", *(result.subject for result in results), box=box.MARKDOWN)
    table.add_row("parameters", *(f"{result.parameters:,}" for result in results))
    table.add_row("the whole command, s", *(f"{result.seconds:.1f}" for result in results))
    for stage in results[0].stages:
        table.add_row(f"{stage}, s", *(f"{result.stages[stage]:.2f}" for result in results))
    table.add_row(f"budget of {BUDGET_SECONDS:g} s", *(_judge(result.is_fast) for result in results))
    return table


def tabulate_memory(results: list[ExportMeasurement]) -> Table:
    """The memory, one column for each subject."""
    table = Table("", *(result.subject for result in results), box=box.MARKDOWN)
    table.add_row("file, MB", *(f"{result.file_bytes / 1e6:.1f}" for result in results))
    table.add_row("peak memory, MB", *(f"{result.peak_bytes / 1e6:.0f}" for result in results))
    table.add_row("torch.onnx.export's, MB", *(f"{result.torchs_bytes / 1e6:.0f}" for result in results))
    table.add_row("beyond that, of the file's size", *(f"{result.sizes_beyond:.1f}" for result in results))
    table.add_row(f"budget of {BUDGET_SIZES:g} sizes", *(_judge(result.is_small) for result in results))
    return table


def _judge(met: bool) -> str:
    return "met" if met else "**not met**"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each model is exported.")] = 3,
    memory: Annotated[bool, typer.Option("--memory", help="Publish the memory alone.")] = False,
) -> None:
    """Measure and publish; exit status 1 where a budget is missed."""
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(name, rounds, Path(folder)) for name in SUBJECTS]
    exports = [asdict(result) for result in results]
    if not memory:
        numbers = {"budget_seconds": BUDGET_SECONDS, "exports": exports}
        title = "Exporting networks of 18 layers, parity included: time"
        publish("export_time", title, tabulate_time(results), numbers)
    sizes = [{name: value for name, value in export.items() if name not in TIMES} for export in exports]
    title = "Exporting networks of 18 layers, parity included: memory"
    publish(
        "export_memory", title, tabulate_memory(results), {"budget_sizes": BUDGET_SIZES, "exports": sizes}
    )
    if not all(result.is_small and (memory or result.is_fast) for result in results):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
