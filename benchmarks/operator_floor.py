"""What one more operator costs beside ReLU: the floor of every activation of several operators.

After each ReLU of a network stand operators that compute nothing new, which ONNX Runtime does not fuse: each
reads and writes all numbers once. One thread, timed by its own clock, in turns. Prints the table and writes
docs/results/operator_floor.{md,json}.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import onnx
import onnx_ir as ir
import torch
import typer
from rich import box
from rich.table import Table

from benchmarks.activation_files import INPUT
from benchmarks.networks import NETWORKS
from benchmarks.provider_forms import read_graph
from benchmarks.results import publish
from benchmarks.turns import make_session_run, median_ratio, take_turns
from convert.artefact.file import serialise
from convert.rewriting.optimise import optimise
from convert.rules import RULES

CHOSEN = ("residual", "CNN", "MLP")
ROUNDS = 9
PLAIN = "ReLU"
BUDGET = 0.08
"""Of ReLU's network, in geometric mean."""

Chain = Callable[[ir.Value], list[ir.Node]]
"""The operators that stand after a value; the last one's output takes its place."""


def _apply(*operators: str) -> Chain:
    def make(x: ir.Value) -> list[ir.Node]:
        nodes: list[ir.Node] = []
        for operator in operators:
            nodes.append(ir.node(operator, [nodes[-1].outputs[0] if nodes else x]))
        return nodes

    return make


def _combine(operator: str) -> Chain:
    """The operator of the value and its negative."""

    def make(x: ir.Value) -> list[ir.Node]:
        (negative,) = _apply("Neg")(x)
        return [negative, ir.node(operator, [x, negative.outputs[0]])]

    return make


def _square(x: ir.Value) -> list[ir.Node]:
    return [ir.node("Mul", [x, x])]


CHAINS: Mapping[str, Chain] = {
    "Mul": _square,
    "Sigmoid": _apply("Sigmoid"),
    "Tanh": _apply("Tanh"),
    "Abs": _apply("Abs"),
    "Neg, Abs": _apply("Neg", "Abs"),
    "Neg, Mul": _combine("Mul"),
    "Neg, Div": _combine("Div"),
    "Neg, Exp": _apply("Neg", "Exp"),
    "Neg, Sigmoid": _apply("Neg", "Sigmoid"),
    "Neg, Tanh": _apply("Neg", "Tanh"),
    "Neg, Erf": _apply("Neg", "Erf"),
    "Neg, Sin": _apply("Neg", "Sin"),
    "Neg, Softplus": _apply("Neg", "Softplus"),
}
NOTES = f"""\
The time of one prediction in ONNX Runtime on the CPU, one thread, as a multiple of the same network with
ReLU alone: operators that are not fused stand after each ReLU, each a pass over all numbers. `Mul`, `Sigmoid`
and `Tanh` stay in the layout that convolutions compute in; the others leave it, so that the first of them
costs two copies more, and the second what is beyond `Abs`. The last row is how many products fit into the
design's budget of {BUDGET:.2f}. The median over {ROUNDS} rounds of the ratio within a round, by the thread's
CPU time."""


def main() -> None:
    """Measure every chain in every network at each of its batches."""
    ratios: dict[str, dict[str, float]] = {}
    for name in CHOSEN:
        ratios |= _measure(name)
    table = Table("after each ReLU", *ratios, box=box.MARKDOWN)
    for chain in CHAINS:
        table.add_row(chain, *(f"{cells[chain]:.3f}" for cells in ratios.values()))
    passes = [f"{BUDGET / max(cells['Mul'] - 1, 1e-9):.1f}" for cells in ratios.values()]
    table.add_row(f"products that cost {BUDGET:.2f}", *passes)
    publish("operator_floor", "What one more operator costs", table, {"ratios": ratios}, NOTES)


def _measure(name: str) -> dict[str, dict[str, float]]:
    """The ratio of each chain, by the network and its batch."""
    network = NETWORKS[name]
    torch.manual_seed(0)
    plain = serialise(optimise(read_graph(network.build(), name)[0], RULES).model)
    ratios: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = {PLAIN: Path(folder) / "plain.onnx"}
        files[PLAIN].write_bytes(plain)
        for chain, make in CHAINS.items():
            files[chain] = Path(folder) / f"{len(files)}.onnx"
            files[chain].write_bytes(_extend(plain, make))
        for batch in network.batches:
            feed = {INPUT: network.example(batch).numpy()}
            runs = {chain: make_session_run(file, feed, 1) for chain, file in files.items()}
            times = take_turns(runs, ROUNDS, clock=time.thread_time)
            ratios[f"{name}, {batch}"] = {chain: median_ratio(times, chain, PLAIN) for chain in CHAINS}
    return ratios


def _extend(content: bytes, make: Chain) -> bytes:
    """The graph with these operators after each ReLU."""
    model = ir.from_proto(onnx.load_model_from_string(content))
    for node in [node for node in model.graph if node.op_type == "Relu"]:
        x = node.outputs[0]
        readers = list(x.uses())
        nodes = make(x)
        model.graph.insert_after(node, nodes)
        for reader, place in readers:
            reader.replace_input_with(place, nodes[-1].outputs[0])
    return serialise(model)


if __name__ == "__main__":
    typer.run(main)
