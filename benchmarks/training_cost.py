"""The training cost of each activation: one step, relative to the plain activation it starts from.

For every activation, shared parameters, a small CNN and an MLP: the time of a forward and backward pass,
beside that of nn.PReLU, of textbook code (benchmarks/textbook.py) and of textbook code in torch's fastest
functions (benchmarks/fast_textbook.py); for those that are asked for also with the CNN compiled as a whole.
All are ratios to the plain activation, eager or compiled as they are. The activation stands next to where it
equals the plain one, so that the layers around it compute with about the same numbers, but none of its own
is zero. Last, the bytes that one call keeps for the backward pass. Prints a table and writes
docs/results/training_cost.{md,json}.

Budgets: at most 1.3 of the plain activation (blends and rationals 2.5), compiled 1.10 (blends 1.3).
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
from adaptive_act.activation import PROBE, SAME
from benchmarks.fast_textbook import FAST_TEXTBOOK
from benchmarks.results import publish
from benchmarks.textbook import TEXTBOOK, Textbook

Build = Callable[[int], nn.Module]
"""An activation for so many channels."""
Step = Callable[[], None]
NUDGE = 1e-3
"""Added to every learned value, as by a first step: a weight of zero may spare work."""


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """A network by its activation, the shape of one batch, and what cannot stand in it."""

    build: Callable[[Build], nn.Module]
    shape: tuple[int, ...]
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Times of one step as ratios to `plain`, None where not measured; bytes kept per element."""

    network: str
    activation: str
    plain: str
    ours: float
    prelu: float
    textbook: float | None
    fast_textbook: float | None
    compiled: float | None
    prelu_compiled: float | None
    fast_textbook_compiled: float | None
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
        str,
        typer.Option(help="Activations, by comma, to compile too (20 seconds for each); or `all`, `none`."),
    ] = "all",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="Threads of the CPU.")] = 1,
) -> None:
    """Measure every activation in both networks."""
    torch.set_num_threads(threads)
    chosen = ACTIVATIONS if compiled == "all" else compiled.split(",")
    rows: list[TrainingRow] = []
    for network, described in NETWORKS.items():
        names = [name for name in ACTIVATIONS if name not in described.without]
        measured = [
            _measure(network, ACTIVATIONS[name], device, rounds, network == "CNN" and name in chosen)
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
    builds = _list_builds(kind)
    steps = {name: _make_step(network, build, device) for name, build in builds.items()}
    if compiled:
        torch.compiler.reset()
        whole = {name: build for name, build in builds.items() if name != "textbook"}
        steps |= {
            f"{name} compiled": _make_step(network, whole[name], device, compiled=True) for name in whole
        }
    times = _time_steps(steps, rounds, device)

    def ratio(name: str, to: str = "plain") -> float | None:
        return times[name] / times[to] if name in times else None

    kept = {name: count_kept_bytes(build(16)) for name, build in builds.items()}
    return TrainingRow(
        network=network,
        activation=kind.__name__,
        plain=find_plain_start(kind).__name__,
        ours=times["ours"] / times["plain"],
        prelu=times["prelu"] / times["plain"],
        textbook=ratio("textbook"),
        fast_textbook=ratio("fast textbook"),
        compiled=ratio("ours compiled", "plain compiled"),
        prelu_compiled=ratio("prelu compiled", "plain compiled"),
        fast_textbook_compiled=ratio("fast textbook compiled", "plain compiled"),
        kept=kept["ours"],
        kept_by_textbook=kept.get("fast textbook"),
        kept_by_plain=kept["plain"],
    )


def _list_builds(kind: type[Activation]) -> dict[str, Build]:
    """The activation and what it is measured against, next to where it equals the plain one."""
    plain, name = find_plain_start(kind), kind.__name__
    builds: dict[str, Build] = {
        "plain": lambda _: plain(),
        "ours": lambda channels: build_at_start(kind, plain, channels),
        "prelu": lambda _: nn.PReLU(init=NUDGE),
    }
    if name in TEXTBOOK:
        builds["textbook"] = lambda _: Textbook(build_at_start(kind, plain, 1), TEXTBOOK[name])
        builds["fast textbook"] = lambda _: Textbook(build_at_start(kind, plain, 1), FAST_TEXTBOOK[name])
    return builds


def find_plain_start(kind: type[Activation]) -> type[nn.Module]:
    """The plain activation that it replaces here.

    It is the one that it equals as it is built; else ReLU, if it can equal that or none; else its first fixed
    point. nn.PReLU, which is learned itself, is not taken.
    """
    plains = [plain for plain in kind.fixed_points if plain is not nn.PReLU]
    built = _build(kind, 16).curve(PROBE)
    for plain in plains:
        if (built - plain()(PROBE.clone())).abs().max() <= SAME:
            return plain
    return nn.ReLU if nn.ReLU in plains or not plains else plains[0]


def build_at_start(kind: type[Activation], plain: type[nn.Module], channels: int) -> Activation:
    """The activation next to where it equals `plain`, or to where it is built if it equals it nowhere."""
    if plain in kind.fixed_points:
        activation = kind.at_fixed_point(plain(), None if kind.elementwise else channels)
    else:
        activation = _build(kind, channels)
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.add_(NUDGE)
    return activation


def _build(kind: type[Activation], channels: int) -> Activation:
    """With shared parameters; what looks at the whole input has them per channel."""
    return kind() if kind.elementwise else kind(channels)


def _make_step(network: str, build: Build, device: str, *, compiled: bool = False) -> Step:
    torch.manual_seed(0)
    model = NETWORKS[network].build(build).to(device)
    if compiled:
        model.compile()
    shape = NETWORKS[network].shape
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(shape, generator=generator).to(device)
    labels = torch.randint(0, 10, shape[:1], generator=generator).to(device)

    def step() -> None:
        model.zero_grad()
        F.cross_entropy(model(x), labels).backward()  # type: ignore[no-untyped-call]
        if device == "cuda":
            torch.cuda.synchronize()

    return step


def _time_steps(steps: Mapping[str, Step], rounds: int, device: str) -> dict[str, float]:
    """The seconds of each step's fastest turn; they take turns, so that other load affects all alike.

    On one thread of the CPU these are seconds of the process, without those in which others ran.
    """
    read_clock = time.process_time if torch.get_num_threads() == 1 and device == "cpu" else time.perf_counter
    for step, _ in itertools.product(steps.values(), range(3)):
        step()
    fastest = dict.fromkeys(steps, math.inf)
    for _ in range(rounds):
        for name, step in steps.items():
            start = read_clock()
            step()
            fastest[name] = min(fastest[name], read_clock() - start)
    return fastest


def count_kept_bytes(activation: nn.Module) -> float:
    """The bytes per element of its input that one call keeps for the backward pass, each storage once."""
    x = torch.randn(64, 16, 28, 28, requires_grad=True)  # as in the CNN: some keep more of a small one
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
    for column in ("ours", "nn.PReLU", "textbook", "fast textbook", "ours, compiled", "nn.PReLU, compiled"):
        table.add_column(column, justify="right")
    for column in ("fast textbook, compiled", "kept, bytes", "textbook's", "plain's"):
        table.add_column(column, justify="right")
    for row in rows:
        eager = (row.ours, row.prelu, row.textbook, row.fast_textbook)
        compiled = (row.compiled, row.prelu_compiled, row.fast_textbook_compiled)
        kept = (row.kept, row.kept_by_textbook, row.kept_by_plain)
        cells = [*(_format_number(r, 2) for r in eager + compiled), *(_format_number(k, 0) for k in kept)]
        table.add_row(row.network, row.activation, row.plain, *cells)
    return table


def _format_number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _describe_device(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


if __name__ == "__main__":
    typer.run(main)
