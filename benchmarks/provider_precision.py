"""What 16-bit floats by OpenVINO take and lose, against the same file in float32 by ONNX Runtime's own.

Random weights; one thread, timed by its own clock, in turns. Prints a table and writes
docs/results/provider_precision.{md,json}. fp16, which no command offers, is measured to say why.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table

from adaptact.errors import ProviderError
from adaptact.providers.catalogue import find_provider
from adaptact.providers.provider import Precision
from benchmarks.activation_files import INPUT
from benchmarks.networks import NETWORKS, Network
from benchmarks.provider_forms import compare_turns, read_graph
from benchmarks.results import publish
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.runtime import Session
from convert.rewriting.optimise import optimise
from convert.rules import RULES
from convert.tuning.timing import Target

ROUNDS = 9
PROVIDER = "openvino"
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16", "fp16")
NOTES = (
    "Time of one run by OpenVINO, one thread, over that of the same file in float32 by ONNX Runtime's own "
    "kernels, medians of turns. Error: root mean square of the difference to those, over that of the outputs."
)

Row = dict[str, float | int | str]


def main() -> None:
    """Measure each network at each of its batches, in each precision that the processor has."""
    try:
        find_provider(PROVIDER).require()
    except ProviderError as error:
        raise typer.BadParameter(str(error)) from error
    precisions = [precision for precision in PRECISIONS if find_provider(PROVIDER).computes(precision)]
    rows: list[Row] = []
    for name, network in track(NETWORKS.items(), description="networks"):
        rows += measure_network(name, network, precisions)
    table = _make_table(rows, precisions)
    publish("provider_precision", "16-bit floats by OpenVINO", table, {"rows": rows}, NOTES)


def measure_network(name: str, network: Network, precisions: Sequence[Precision]) -> list[Row]:
    """For each batch: the time in each precision as a ratio, and the error."""
    torch.manual_seed(0)
    exported, inputs = read_graph(network.build(), name)
    graph = optimise(exported, RULES).model
    rows: list[Row] = []
    for batch in network.batches:
        base = Target(inputs, "cpu", 1, (batch,)).load(graph)
        turns = {
            (PROVIDER, str(precision)): Target(inputs, PROVIDER, 1, (batch,), precision).load(graph)
            for precision in precisions
        }
        ratios = compare_turns(base, turns, ROUNDS)
        row: Row = {"network": name, "batch": batch}
        for precision in precisions:
            row[f"{precision} time"] = ratios[PROVIDER, precision]
            row[f"{precision} error"] = _measure_error(graph, network.example(batch).numpy(), precision)
        rows.append(row)
    return rows


def _measure_error(graph: ir.Model, x: Array, precision: Precision) -> float:
    content = serialise(graph)
    exact, coarse = _run(content, "cpu", "fp32", x), _run(content, PROVIDER, precision, x)
    return float(np.sqrt(np.mean((coarse - exact) ** 2) / np.mean(exact**2)))


def _run(content: bytes, provider: str, precision: Precision, x: Array) -> Array:
    (answer,) = Session(content, [INPUT], provider, threads=1, precision=precision).run([x]).values()
    return answer.astype(np.float64)


def _make_table(rows: Sequence[Row], precisions: Sequence[Precision]) -> Table:
    rounded = precisions[1:]
    headings = [*(f"{precision}, time" for precision in precisions), *(f"{name}, error" for name in rounded)]
    table = Table("network", "batch", *headings, box=box.MARKDOWN)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        times = [f"{row[f'{precision} time']:.2f}" for precision in precisions]
        errors = [f"{row[f'{precision} error']:.0e}" for precision in rounded]
        table.add_row(str(row["network"]), str(row["batch"]), *times, *errors)
    return table


if __name__ == "__main__":
    typer.run(main)
