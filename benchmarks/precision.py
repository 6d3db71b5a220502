"""The precisions compared: size, time, error, agreement and accuracy of each.

Networks trained on the handwritten digits, with ReLU and with learned activations in its place. Static int8
is calibrated on the training images; all is judged on the test images and their labels. Prints a table and
writes docs/results/precision.{md,json}. Times are ratios to the float32 file's, in turns, one thread.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import onnx_ir as ir
import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table
from torch import nn

from adaptive_act import ACTIVATIONS, swap
from benchmarks.results import publish
from convert.artefact.file import serialise
from convert.errors import PrecisionError
from convert.latency import measure_latency
from convert.model_io.inputs import parse_input
from convert.model_io.runtime import Session
from convert.model_io.samples import SampleSet
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions, Precision
from convert.precision.calibration import Calibration
from convert.precision.gate import Gate, LossReport
from convert.precision.quantise import RoundingTask, quantise
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from convert.sources.fold import fold
from examples.digits.data import Digits, read_digits
from examples.digits.model import build
from examples.digits.train import train

BATCHES = (1, 16)
ACTIVATION_NAMES = ("ReLU", "PReLU", "PELU", "Swish", "Snake", "NEAAF")
METHODS: dict[str, tuple[Precision, bool]] = {
    "fp16": ("fp16", False),
    "int8 dynamic": ("int8", False),
    "int8 static": ("int8", True),
}
ANYTHING = BudgetOptions(max_error=1.0, min_agreement=0.0, max_accuracy_drop=1.0)
"""The table shows what the rounding itself costs: nothing is refused, nor kept in float for the gate."""
IMAGE = parse_input("image:float32[N,1,8,8]")
NOTES = (
    "Error: largest and root mean square difference to the model in float64, as shares of the scores' scale. "
    "Agreement and accuracy are of the test images. The last column is what the strict gate says of it. "
    "Times are a CPU's, on which fp16 is computed in float32: it is meant for GPUs."
)


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One file; errors as shares of the scores' scale, times as ratios to float32's, by batch."""

    network: str
    activation: str
    precision: str
    bytes: int
    times: dict[int, float]
    largest: float
    typical: float
    agreement: float
    accuracy: float
    strict: str


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Turns that each file takes.")] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs that each network is trained.")] = 10,
    activation: Annotated[list[str] | None, typer.Option(help="One of them; all if not given.")] = None,
) -> None:
    """Train, round to every precision, measure and publish."""
    torch.set_num_threads(1)  # so small a network trains faster on one core
    cases = [(network, name) for network in NETWORKS for name in activation or ACTIVATION_NAMES]
    training, test = read_digits()
    rows: list[PrecisionRow] = []
    with tempfile.TemporaryDirectory() as folder:
        for network, name in track(cases, description="precision"):
            model = _train(network, name, training, epochs)
            rows += _measure_rows(Path(folder), (network, name), model, (training, test), rounds)
    numbers = {"epochs": epochs, "rows": [asdict(row) for row in rows]}
    publish("precision", "Fewer bits: size, time and loss", _make_table(rows), numbers, NOTES)


def make_perceptron() -> nn.Module:
    """Two hidden layers of 512, for images [n, 1, 8, 8]."""
    hidden = (nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU())
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(512, 10))


NETWORKS = {"CNN": lambda: build(width=64), "MLP": make_perceptron}


def _train(network: str, name: str, data: Digits, epochs: int) -> nn.Module:
    torch.manual_seed(0)
    model = NETWORKS[network]()
    if name != "ReLU":
        model = swap(model, {nn.ReLU: ACTIVATIONS[name]}, preserve=False, example=data.images[:2]).model
    return train(model, data, epochs, 0, lambda _: None).model


def _measure_rows(
    folder: Path, case: tuple[str, str], model: nn.Module, parts: tuple[Digits, Digits], rounds: int
) -> list[PrecisionRow]:
    training, test = parts
    graph = optimise(export(fold(model), [IMAGE], ["logits"]).model).model
    original = Original(model, ["logits"])
    sets = (SampleSet("given", (test.images.numpy(),), typical=True, given=True),)
    judge = Gate(original, sets, test.labels.numpy())
    data = Calibration((SampleSet("calibration", (training.images.numpy(),)),), len(training.labels))
    graphs = {"fp32": graph}
    judged = {"fp32": judge.measure(Session(serialise(graph), ["image"]))}
    verdicts = {"fp32": "parity"}
    for method, (precision, static) in METHODS.items():
        task = RoundingTask(precision, ANYTHING, data if static else None, test.labels.numpy())
        rounded = quantise(graph, original, sets, task)
        graphs[method], judged[method] = rounded.model, rounded.losses
        verdicts[method] = _judge(graph, original, sets, task)
    sizes, times = _measure(folder, graphs, test, rounds)
    return [
        _make_row(
            (*case, name),
            sizes[name],
            times[name],
            judged[name],
            verdicts[name],
        )
        for name in graphs
    ]


def _judge(graph: ir.Model, original: Original, sets: Sequence[SampleSet], task: RoundingTask) -> str:
    """The verdict of the strict gate, and the layers that it keeps in float."""
    strict = RoundingTask(task.precision, BudgetOptions(), task.calibration, task.labels)
    try:
        kept = quantise(graph, original, sets, strict).kept
    except PrecisionError:
        return "refused"
    names = ", ".join(f"{operator.site.layer} ({operator.site.kind})" for operator in kept)
    return f"passed, {names} in float" if kept else "passed"


def _measure(
    folder: Path, graphs: dict[str, ir.Model], test: Digits, rounds: int
) -> tuple[dict[str, int], dict[str, dict[int, float]]]:
    files = {method: folder / f"{method}.onnx" for method in graphs}
    for method, file in files.items():
        file.write_bytes(serialise(graphs[method]))
    times: dict[str, dict[int, float]] = {method: {} for method in graphs}
    for batch in BATCHES:
        seconds = measure_latency(files, {"image": test.images[:batch].numpy()}, rounds, lambda _: None)
        for method in graphs:
            times[method][batch] = seconds[method] / seconds["fp32"]
    return {method: file.stat().st_size for method, file in files.items()}, times


def _make_row(
    case: tuple[str, str, str], size: int, times: dict[int, float], judged: LossReport, verdict: str
) -> PrecisionRow:
    (loss,) = judged.losses
    if judged.accuracy is None or loss.agreement is None:
        raise ValueError("the digits have labels, and the networks scores")
    return PrecisionRow(
        *case,
        bytes=size,
        times=times,
        largest=loss.largest,
        typical=loss.mean_square**0.5,
        agreement=loss.agreement,
        accuracy=judged.accuracy.file / judged.accuracy.samples,
        strict=verdict,
    )


def _make_table(rows: Sequence[PrecisionRow]) -> Table:
    table = Table(box=box.MARKDOWN)
    for column in ("network", "activation", "precision"):
        table.add_column(column)
    batches = [f"time, batch {batch}" for batch in BATCHES]
    for column in ("kB", *batches, "largest error", "typical", "agreement", "accuracy"):
        table.add_column(column, justify="right")
    table.add_column("strict gate")
    for row in rows:
        table.add_row(
            *(row.network, row.activation, row.precision, f"{row.bytes / 1e3:.0f}"),
            *(f"{row.times[batch]:.2f}" for batch in BATCHES),
            *(f"{row.largest:.2%}", f"{row.typical:.3%}", f"{row.agreement:.2%}", f"{row.accuracy:.2%}"),
            row.strict,
        )
    return table


if __name__ == "__main__":
    typer.run(main)
