"""The training cost of each activation: one step, relative to the plain activation it starts from.

For every activation, shared parameters, a small CNN and an MLP: the time of a forward and backward pass with
the activation as it comes, as textbook code (benchmarks/textbook.py) and compiled, all as ratios to the plain
one, and the bytes that one call keeps for the backward pass. Prints a table and writes
docs/results/training_cost.{md,json}.

Budgets: at most 1.3 of the plain activation (blends and rationals 2.5), compiled 1.10 (1.3), and never slower
than the textbook.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS, Activation
from benchmarks.results import publish
from benchmarks.textbook import TEXTBOOK, Textbook

Build = Callable[[int], nn.Module]
"""An activation for so many channels."""
Step = Callable[[], None]


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network by its activation, the shape of one batch, and what cannot stand in it."""

    build: Callable[[Build], nn.Module]
    shape: tuple[int, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Times of one training step as ratios to `plain`, None where not measured; bytes kept per element."""

    network: str
    activation: str
    plain: str
    ours: float
    textbook: float | None
    compiled: float | None
    compiled_whole: float | None
    kept: float
    kept_by_textbook: float | None
    kept_by_plain: float


def convolutions(activation: Build) -> nn.Module:
    """Two convolutions of 16 and 32 channels and a linear layer, for images [n, 1, 28, 28]."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), activation(16), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), activation(32), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 49, 10)),
    )


def perceptron(activation: Build) -> nn.Module:
    """784-128-128-10, for batches [n, 784]."""
    layers = [nn.Linear(784, 128), activation(128), nn.Linear(128, 128), activation(128), nn.Linear(128, 10)]
    return nn.Sequential(*layers)


NETWORKS = {
    "CNN": TrainedNetwork(convolutions, (64, 1, 28, 28)),
    "MLP": TrainedNetwork(perceptron, (128, 784), without=("Funnel",)),
}


def main(
    rounds: Annotated[int, typer.Option(help="Steps that each one takes, in turns.")] = 15,
    compiled: Annotated[
        bool, typer.Option(help="Measure torch.compile as well (10 seconds more for each activation).")
    ] = True,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
) -> None:
    """Measure every activation in both networks."""
    torch.set_num_threads(threads)
    rows: list[TrainingRow] = []
    for network, described in NETWORKS.items():
        names = [name for name in ACTIVATIONS if name not in described.without]
        measured = [
            _measure(network, ACTIVATIONS[name], device, rounds, compiled and network == "CNN")
            for name in track(names, description=network)
        ]
        rows += sorted(measured, key=lambda row: row.ours)
    numbers = {"device": _describe_device(device), "threads": threads, "rows": [asdict(row) for row in rows]}
    publish(
        "training_cost",
        f"Time of one training step as a ratio ({_describe_device(device)})",
        _make_table(rows),
        numbers,
    )


def _measure(network: str, kind: type[Activation], device: str, rounds: int, compiled: bool) -> TrainingRow:
    plain = plain_start(kind)
    textbook = TEXTBOOK.get(kind.__name__)
    builds: dict[str, Build] = {"plain": lambda _: plain(), "ours": lambda channels: _build(kind, channels)}
    if textbook is not None:
        builds["textbook"] = lambda _: Textbook(kind(), textbook)
    steps = {
        name: _make_step(_make_model(network, build, device), network, device)
        for name, build in builds.items()
    }
    if compiled:
        steps |= _compile_all(network, builds, device)
    times = _time_steps(steps, rounds)

    def ratio(name: str, to: str = "plain") -> float | None:
        return times[name] / times[to] if name in times else None

    kept = {name: count_kept_bytes(build(16)) for name, build in builds.items()}
    return TrainingRow(
        network=network,
        activation=kind.__name__,
        plain=plain.__name__,
        ours=times["ours"] / times["plain"],
        textbook=ratio("textbook"),
        compiled=ratio("compiled"),
        compiled_whole=ratio("compiled whole", "plain compiled whole"),
        kept=kept["ours"],
        kept_by_textbook=kept.get("textbook"),
        kept_by_plain=kept["plain"],
    )


def plain_start(kind: type[Activation]) -> type[nn.Module]:
    """The plain activation that it replaces here: ReLU where it has a fixed point there, else its first."""
    plains = list(kind.fixed_points)
    return nn.ReLU if nn.ReLU in plains or not plains else plains[0]


def _build(kind: type[Activation], channels: int) -> Activation:
    """With shared parameters; what looks at the whole input has them per channel."""
    return kind() if kind.elementwise else kind(channels)


def _make_model(network: str, build: Build, device: str) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[network].build(build).to(device)


def _compile_all(network: str, builds: Mapping[str, Build], device: str) -> dict[str, Step]:
    """Steps with only the activations compiled, and with the whole model compiled, plain and ours."""
    torch.compiler.reset()
    alone = _make_model(network, builds["ours"], device)
    for module in alone.modules():
        if isinstance(module, Activation):
            module.compile()
    whole, plain_whole = (
        _make_model(network, builds["ours"], device),
        _make_model(network, builds["plain"], device),
    )
    whole.compile()
    plain_whole.compile()
    models = {"compiled": alone, "compiled whole": whole, "plain compiled whole": plain_whole}
    return {name: _make_step(model, network, device) for name, model in models.items()}


def _make_step(model: nn.Module, network: str, device: str) -> Step:
    generator = torch.Generator().manual_seed(1)
    shape = NETWORKS[network].shape
    x = torch.randn(shape, generator=generator).to(device)
    labels = torch.randint(0, 10, shape[:1], generator=generator).to(device)

    def step() -> None:
        model.zero_grad()
        F.cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def _time_steps(steps: Mapping[str, Step], rounds: int) -> dict[str, float]:
    """The seconds of each step's fastest turn; they take turns, so that other load affects all alike."""
    for step, _ in itertools.product(steps.values(), range(3)):
        step()
    fastest = dict.fromkeys(steps, math.inf)
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            fastest[name] = min(fastest[name], time.perf_counter() - start)
    return fastest


def count_kept_bytes(activation: nn.Module) -> float:
    """The bytes per element of its input that one call keeps for the backward pass, each storage once."""
    x = torch.randn(8, 16, 16, 16, requires_grad=True)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        y = activation(x)
    return sum(kept.values()) / x.numel() if y.requires_grad else 0.0


def _make_table(rows: list[TrainingRow]) -> Table:
    table = Table(box=box.MARKDOWN)
    for column in ("network", "activation", "plain"):
        table.add_column(column)
    for column in ("ours", "textbook", "compiled", "model compiled", "kept, bytes", "textbook's", "plain's"):
        table.add_column(column, justify="right")
    for row in rows:
        ratios = (row.ours, row.textbook, row.compiled, row.compiled_whole)
        kept = (row.kept, row.kept_by_textbook, row.kept_by_plain)
        cells = [*(_format_number(r, 2) for r in ratios), *(_format_number(k, 0) for k in kept)]
        table.add_row(row.network, row.activation, row.plain, *cells)
    return table


def _format_number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _describe_device(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


if __name__ == "__main__":
    typer.run(main)
