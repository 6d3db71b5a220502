"""The cost of exported activations in ONNX Runtime, relative to ReLU and to the files of other tools.

Each cell is one network at one batch with one activation in place of its ReLU, as five files or six: torch's
own export of the same module, what onnxslim makes of that, torch's export of the activation as people write
it from its paper, ours, and ours tuned. Prints tables and writes docs/results/activation_cost.{md,json}.
Every file and every cell is kept under build/benchmarks, so an interrupted run continues.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Annotated

import torch
import typer
from rich.progress import track

from adaptive_act import ACTIVATIONS
from benchmarks.activation_files import Files, Subject, write_files, write_plain, write_tuned
from benchmarks.activation_page import CostRow, PublishedRows, publish_rows, read_published, show_rows
from benchmarks.cells import Cell, CellStore
from benchmarks.networks import NETWORKS
from benchmarks.results import describe_machine
from benchmarks.turns import Times, make_session_run, median_ratio, take_turns

OWN = ("activation_cost", "activation_files", "networks", "rivals", "textbook", "turns")
NAMED = ("PReLU", "PELU", "ABU", "NEAAF", "Swish", "Snake", "ScaledMish", "PAU")
"""What is measured per channel, with two threads, and tuned as well; all would take hours."""
ROUNDS, FEWER_ROUNDS, AGAIN = 12, 6, 3
WORTH_AGAIN = {"plain": 1.30, "torch": 1.02}
"""A cell whose file of ours costs more than this beside another is measured again, AGAIN times as long."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A subject with the batch and the threads with which it is timed."""

    subject: Subject
    batch: int
    threads: int

    @property
    def key(self) -> str:
        """The cell's name."""
        return f"{self.subject.key}-{self.batch}-{self.threads}"


def main(
    families: Annotated[
        str | None, typer.Option(help="Activations, separated by commas; all if not given.")
    ] = None,
    again: Annotated[bool, typer.Option(help="Put what some cost now into the page of all.")] = False,
    quick: Annotated[bool, typer.Option(help="Half the rounds, one thread, shared parameters.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that write files at the same time.")] = 2,
) -> None:
    """Measure every activation in every network; of some, or quickly, it is only printed, unless `again`."""
    if again and (quick or not families):
        raise typer.BadParameter("`--again` is for some `--families`, and not for quick runs")
    chosen = families.split(",") if families else list(ACTIVATIONS)
    unknown = set(chosen) - set(ACTIVATIONS)
    if unknown:
        raise typer.BadParameter(f"not an activation: {', '.join(sorted(unknown))}")
    cells = CellStore("activation_cost", OWN, quick=quick)
    places = list(list_settings(chosen, quick))
    written = _write_all(cells, list(dict.fromkeys(place.subject for place in places)), workers)
    tuned = [subject for subject in written if subject.tuned and written[subject].reason is None]
    failures = {subject: _tune(cells, subject) for subject in track(tuned, description="tuning")}
    standing = [place for place in places if written[place.subject].reason is None]
    rows = [
        make_row(
            place,
            written[place.subject].failed | failures.get(place.subject, {}),
            cells.get_or_measure(place.key, partial(_time, cells, place, quick)),
        )
        for place in track(standing, description="timing")
    ]
    left_out = {subject.key: files.reason for subject, files in written.items() if files.reason is not None}
    measured = PublishedRows(rows, left_out, describe_machine())
    if again:
        publish_rows(read_published().renewed(measured, chosen), NAMED)
    elif families or quick:
        show_rows(rows)
    else:
        publish_rows(measured, NAMED)


def list_settings(families: Sequence[str], quick: bool) -> Iterator[Setting]:
    """The cells: every family shared on one thread, the NAMED ones per channel and on two threads too."""
    for network, described in NETWORKS.items():
        for family in families:
            elementwise = ACTIVATIONS[family].elementwise
            named = family in NAMED and not quick
            subject = Subject(network, family, per_channel=not elementwise, tuned=named)
            yield from (Setting(subject, batch, 1) for batch in described.batches)
            if named:
                yield from (Setting(subject, batch, 2) for batch in described.batches)
                channels = Subject(network, family, per_channel=True, tuned=False)
                yield from (Setting(channels, batch, 1) for batch in described.batches)


def _write_all(cells: CellStore, subjects: Sequence[Subject], workers: int) -> dict[Subject, Files]:
    """The files of every subject; several are written at once, which takes most of a run's time."""
    for network in {subject.network for subject in subjects}:
        write_plain(network, cells.folder)
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = {pool.submit(write_files, subject, cells.folder): subject for subject in subjects}
        done = track(as_completed(waiting), total=len(waiting), description="writing files")
        return {waiting[future]: future.result() for future in done}


def _tune(cells: CellStore, subject: Subject) -> dict[str, str]:
    """Writes the tuned file; returns the reason where that fails."""
    path = cells.folder / subject.key / "tuned.onnx"
    reason: str | None = None if path.exists() else write_tuned(subject, cells.folder)
    return {} if reason is None else {"tuned": reason}


def _time(cells: CellStore, place: Setting, quick: bool) -> Cell:
    described = NETWORKS[place.subject.network]
    feed = {"x": described.example(place.batch).numpy()}
    files = place.subject.files(cells.folder)
    rounds = FEWER_ROUNDS if quick else ROUNDS
    runs = {
        name: make_session_run(path, feed, place.threads)
        for name, path in files.items()
        if name != "tuned" or place.threads == 1  # which it was tuned for
    }
    times = take_turns(runs, rounds)
    if any(median_ratio(times, "ours", to) > most for to, most in WORTH_AGAIN.items() if to in times):
        times = take_turns(runs, AGAIN * rounds)
    return {"seconds": times}


def make_row(place: Setting, failed: Mapping[str, str], cell: Cell) -> CostRow:
    """The cell as ratios to the network with ReLU."""
    times: Times = cell["seconds"]
    return CostRow(
        network=place.subject.network,
        batch=place.batch,
        threads=place.threads,
        activation=place.subject.family,
        per_channel=place.subject.per_channel,
        plain_us=statistics.median(times["plain"]) * 1e6,
        to_plain={name: median_ratio(times, name, "plain") for name in times if name != "plain"},
        ours_to={name: median_ratio(times, "ours", name) for name in times if name not in ("ours", "plain")},
        failed=dict(failed),
    )


if __name__ == "__main__":
    typer.run(main)
