"""The whole catalogue in the exported file, relative to ReLU, in minutes: one thread, by the time of the CPU.

Three networks, of which no rule was chosen on the residual one. Each graph is exported and rewritten as
`adaptact export` does it, without its comparison with torch, which the tests hold. Time is that of the
thread, so other load on the machine lengthens a run and hardly changes its ratios. Prints tables and, for a
run of everything, writes docs/results/activation_ratios.{md,json}.
"""

import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich import box
from rich.progress import track
from rich.table import Table

from adaptive_act import ACTIVATIONS, save
from benchmarks.activation_files import Subject, make_adaptive
from benchmarks.activation_page import MEAN_TO_RELU, WORST_TO_RELU
from benchmarks.cells import Cell, CellStore
from benchmarks.networks import NETWORKS
from benchmarks.results import publish, show
from benchmarks.rivals import try_tool
from benchmarks.turns import make_session_run, median_ratio, take_turns
from convert.artefact.file import serialise
from convert.rewriting.optimise import optimise
from convert.sources.export import build_graph
from convert.sources.fold import fold
from convert.sources.load import load
from convert.sources.opset import OPSETS, choose_opset

OWN = ("activation_ratios", "activation_files", "networks", "models/residual", "turns")
CHOSEN = ("residual", "CNN", "MLP")
ROUNDS, PLAIN = 8, "ReLU"
NOTES = f"""\
The time of one prediction in ONNX Runtime on the CPU, one thread, as a multiple of the same network with
ReLU: the median over {ROUNDS} rounds of the ratio within a round, by the thread's CPU time. Parameters are
shared; those that look at more than one place have theirs per channel. The budget of the design is
{MEAN_TO_RELU:.2f} in geometric mean and {WORST_TO_RELU:.2f} at worst."""
Ratios = dict[str, dict[str, float]]
"""By activation, the ratio in each network and batch."""


def main(
    families: Annotated[str | None, typer.Option(help="Activations, by commas; all if not given.")] = None,
    networks: Annotated[str, typer.Option(help="Networks, separated by commas.")] = ",".join(CHOSEN),
    workers: Annotated[int, typer.Option(help="Processes that write files at the same time.")] = 2,
) -> None:
    """Measure every activation; the numbers of a run of some are only printed."""
    named = families.split(",") if families else list(ACTIVATIONS)
    store = CellStore("activation_ratios", OWN)
    subjects = [(network, family) for network in networks.split(",") for family in (PLAIN, *named)]
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = [pool.submit(write_file, *subject, store.folder) for subject in subjects]
        reasons = [future.result() for future in track(waiting, description="writing files")]
    absent = {subject: reason for subject, reason in zip(subjects, reasons, strict=True) if reason}
    ratios: Ratios = {family: {} for family in named}
    standing = [subject for subject in subjects if subject not in absent and subject[1] != PLAIN]
    for network, family in track(standing, description="timing"):
        for batch in NETWORKS[network].batches:
            measure = partial(time_cell, network, family, batch, store.folder)
            cell = store.get_or_measure(f"{network}-{family}-{batch}", measure)
            ratios[family][f"{network}, {batch}"] = median_ratio(cell["seconds"], family, PLAIN)
    tables = [summary_table(ratios), family_table(ratios)]
    missing = [f"\n\nNot measured: {network}, {family}: {why}" for (network, family), why in absent.items()]
    notes = "".join([NOTES, *missing])
    if families or networks != ",".join(CHOSEN):
        show("What every activation costs", tables, notes)
    else:
        publish("activation_ratios", "What every activation costs", tables, {"ratios": ratios}, notes)


def write_file(network: str, family: str, folder: Path) -> str | None:
    """Writes the rewritten graph of one activation in one network; returns why it failed, or None."""
    path = folder / f"{network}-{family}.onnx"
    return None if path.exists() else try_tool(lambda: _write(network, family, path))


def _write(network: str, family: str, path: Path) -> None:
    described, checkpoint = NETWORKS[network], path.with_suffix(".pt")
    if family == PLAIN:
        torch.manual_seed(0)
        model = described.build()
    else:
        per_channel = not ACTIVATIONS[family].elementwise
        model = make_adaptive(Subject(network, family, per_channel, tuned=False))
    spec = {"name": "x", "dtype": "float32", "shape": [None, *described.shape]}
    save(model.eval(), checkpoint, factory=described.factory, inputs=[spec])
    source = load(checkpoint)
    exported = build_graph(source, fold(source.model), choose_opset(None, OPSETS[0]), OPSETS[0])
    path.write_bytes(serialise(optimise(exported.model).model))
    checkpoint.unlink()


def time_cell(network: str, family: str, batch: int, folder: Path) -> Cell:
    """The seconds of one prediction, with the activation and with ReLU, in turns."""
    feed = {"x": NETWORKS[network].example(batch).numpy()}
    runs = {name: make_session_run(folder / f"{network}-{name}.onnx", feed, 1) for name in (PLAIN, family)}
    return {"seconds": take_turns(runs, ROUNDS, clock=time.thread_time)}


def summary_table(ratios: Ratios) -> Table:
    """Each network at each batch: the geometric mean, and the worst."""
    names = ("network, batch", "cells", "geometric mean", "worst", "of")
    table = Table(*names, title="By network", box=box.MARKDOWN)
    columns = list_columns(ratios)
    for column in (*columns, None):
        cells = [
            (ratio, f"{family}, {place}" if column is None else family)
            for family, places in ratios.items()
            for place, ratio in places.items()
            if column in (None, place)
        ]
        if cells:
            mean = statistics.geometric_mean(ratio for ratio, _ in cells)
            worst, where = max(cells)
            table.add_row(column or "all", str(len(cells)), f"{mean:.3f}", f"{worst:.2f}", where)
    return table


def family_table(ratios: Ratios) -> Table:
    """Each activation, the dearest first."""
    columns = list_columns(ratios)
    table = Table("activation", *columns, "geometric mean", title="By activation", box=box.MARKDOWN)
    measured = {family: places for family, places in ratios.items() if places}
    for family in sorted(measured, key=lambda family: -_mean(measured[family])):
        places = measured[family]
        cells = [f"{places[column]:.2f}" if column in places else "" for column in columns]
        table.add_row(family, *cells, f"{_mean(places):.3f}")
    return table


def list_columns(ratios: Ratios) -> Sequence[str]:
    """The networks and batches that were measured."""
    return list(dict.fromkeys(place for places in ratios.values() for place in places))


def _mean(places: Mapping[str, float]) -> float:
    return statistics.geometric_mean(places.values())


if __name__ == "__main__":
    typer.run(main)
