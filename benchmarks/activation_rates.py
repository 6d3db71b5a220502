"""The learning rate of activations relative to the weights': the accuracy of small runs at several factors.

For SGD and Adam, a usual and a high rate, six activations and paired seeds, with neither clipping nor guard.
Prints a table and writes docs/results/activation_rates.{md,json}.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Annotated

import typer
from rich import box
from rich.progress import track
from rich.table import Table

from benchmarks.digit_runs import ACTIVATIONS, RATES, Result, Run, train
from benchmarks.results import publish

FACTORS = (0.1, 1.0, 3.0, 10.0)
ALL = "all six"

NOTES = """\
Mean accuracy in % on scikit-learn's handwritten digits of a perceptron 64-32-32-32-10, {seeds} seeds,
{epochs} epochs, batch 64, SGD with momentum 0.9, neither clipping nor guard. The columns are
`activation_lr / lr`. *lost* counts runs whose loss was not finite."""


@dataclass(frozen=True, slots=True)
class RateRow:
    """The runs at each factor, for one optimiser, rate and activation."""

    optimizer: str
    lr: float
    activation: str
    runs: tuple[tuple[Result, ...], ...]


def main(
    seeds: Annotated[int, typer.Option(help="Runs of each kind.")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs of each run.")] = 20,
    jobs: Annotated[int, typer.Option(help="Processes; the results do not depend on it.")] = 1,
) -> None:
    """Train every cell of the table (5 minutes on one core)."""
    starts = [
        Run(optimizer, lr, activation, seed=0, epochs=epochs)
        for optimizer, rates in RATES.items()
        for lr in rates[:2]
        for activation in ACTIVATIONS
    ]
    with ProcessPoolExecutor(jobs) as pool:
        measured = pool.map(_measure, starts, [seeds] * len(starts))
        rows = list(track(measured, total=len(starts), description="rows"))
    publish(
        "activation_rates",
        "The learning rate of activations relative to the weights'",
        _make_table([*_summarise(rows), *rows]),
        {"factors": FACTORS, "rows": [asdict(row) for row in rows]},
        NOTES.format(seeds=seeds, epochs=epochs),
    )


def _measure(run: Run, seeds: int) -> RateRow:
    runs = tuple(
        tuple(train(replace(run, seed=seed, activation_factor=factor)) for seed in range(seeds))
        for factor in FACTORS
    )
    return RateRow(run.optimizer, run.lr, run.activation, runs)


def _summarise(rows: list[RateRow]) -> list[RateRow]:
    """A row over all activations for each optimiser and rate."""
    summary = []
    for optimizer, lr in dict.fromkeys((row.optimizer, row.lr) for row in rows):
        chosen = [row.runs for row in rows if (row.optimizer, row.lr) == (optimizer, lr)]
        joined = tuple(tuple(run for runs in column for run in runs) for column in zip(*chosen, strict=True))
        summary.append(RateRow(optimizer, lr, ALL, joined))
    return summary


def _make_table(rows: list[RateRow]) -> Table:
    table = Table(box=box.MARKDOWN)
    for column in ("optimiser", "rate", "activation"):
        table.add_column(column)
    for factor in FACTORS:
        table.add_column(f"{factor:g}x", justify="right")
    for row in rows:
        table.add_row(row.optimizer, f"{row.lr:g}", row.activation, *map(_format_runs, row.runs))
    return table


def _format_runs(runs: tuple[Result, ...]) -> str:
    lost = sum(run.is_lost for run in runs)
    accuracy = 100 * fmean(run.accuracy for run in runs)
    return f"{accuracy:.1f} ({lost} lost)" if lost else f"{accuracy:.1f}"


if __name__ == "__main__":
    typer.run(main)
