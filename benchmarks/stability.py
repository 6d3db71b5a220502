"""The guard beside clipping alone: the accuracy of small runs at usual and too high learning rates.

For SGD and Adam, three learning rates and six activations: the mean accuracy over paired seeds with torch's
clipping alone at each of three norms, and with the guard, as it comes and at the norm that was best for
clipping alone in that cell. Prints a table and writes docs/results/stability.{md,json}.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Annotated

import typer
from rich import box
from rich.progress import track
from rich.table import Table

from adaptive_act.training import Options
from benchmarks.digit_runs import ACTIVATIONS, RATES, Result, Run, train
from benchmarks.results import publish

NORMS = (0.3, 1.0, 3.0)

NOTES = """\
Mean accuracy in % on scikit-learn's handwritten digits of a perceptron 64-32-32-32-10, {seeds} seeds,
{epochs} epochs, batch 64, SGD with momentum 0.9. *best norm* is the one of {norms} at which clipping alone
was best on the test digits of that row, and the guard clips to the same. *lost* counts runs whose loss was
not finite, or that the guard gave up; such a run counts with the accuracy of its last state. Where the
guard never rolled back, its runs are those with clipping alone, to the bit.

The guard is below clipping alone at the same norm in {worse} of {compared} comparisons, and above it in
{better}; it rolled back in {intervened} of them. As it comes, it is below clipping alone at the best norm of
the row in {below} of {rows} rows, by {largest:.1f} points at most."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The runs of one way of training, over the seeds."""

    clip_norm: float | None
    is_guarded: bool
    runs: tuple[Result, ...]

    @property
    def accuracy(self) -> float:
        """The mean over the seeds."""
        return fmean(run.accuracy for run in self.runs)

    @property
    def lost(self) -> int:
        """How many runs were given up."""
        return sum(run.is_lost for run in self.runs)

    @property
    def rollbacks(self) -> int:
        """All rollbacks of the guard."""
        return sum(run.rollbacks for run in self.runs)


@dataclass(frozen=True, slots=True)
class Cell:
    """All ways of training with one optimiser, rate and activation."""

    optimizer: str
    lr: float
    activation: str
    clipped: tuple[Arm, ...]
    guarded: tuple[Arm, ...]

    @property
    def best_norm(self) -> float | None:
        """The norm at which clipping alone was most accurate."""
        return max(self.clipped, key=lambda arm: arm.accuracy).clip_norm

    def pairs(self) -> list[tuple[Arm, Arm]]:
        """Clipping alone and the guard at the same norm, for each norm the guard ran with."""
        alone = {arm.clip_norm: arm for arm in self.clipped}
        return [(alone[arm.clip_norm], arm) for arm in self.guarded]


def main(
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 5,
    epochs: Annotated[int, typer.Option(help="Epochs of each run.")] = 25,
    jobs: Annotated[int, typer.Option(help="Processes; the results do not depend on it.")] = 1,
) -> None:
    """Train every cell of the table (20 minutes on one core)."""
    starts = [
        Run(optimizer, lr, activation, seed=0, epochs=epochs)
        for optimizer, rates in RATES.items()
        for lr in rates
        for activation in ACTIVATIONS
    ]
    with ProcessPoolExecutor(jobs) as pool:
        measured = pool.map(_measure, starts, [seeds] * len(starts))
        cells = list(track(measured, total=len(starts), description="cells"))
    notes = NOTES.format(seeds=seeds, epochs=epochs, norms=" ".join(map(str, NORMS)), **_count(cells))
    publish("stability", "The guard beside clipping alone", _make_table(cells), _to_numbers(cells), notes)


def _measure(run: Run, seeds: int) -> Cell:
    clipped = tuple(_train_arm(run, seeds, norm) for norm in NORMS)
    best = max(clipped, key=lambda arm: arm.accuracy).clip_norm
    norms = dict.fromkeys((Options().clip_norm, best))
    return Cell(
        optimizer=run.optimizer,
        lr=run.lr,
        activation=run.activation,
        clipped=clipped,
        guarded=tuple(_train_arm(replace(run, is_guarded=True), seeds, norm) for norm in norms),
    )


def _train_arm(run: Run, seeds: int, clip_norm: float | None) -> Arm:
    runs = [train(replace(run, seed=seed, clip_norm=clip_norm)) for seed in range(seeds)]
    return Arm(clip_norm, run.is_guarded, tuple(runs))


def _count(cells: Sequence[Cell]) -> dict[str, float]:
    pairs = [pair for cell in cells for pair in cell.pairs()]
    gaps = [max(arm.accuracy for arm in cell.clipped) - cell.guarded[0].accuracy for cell in cells]
    return {
        "rows": len(cells),
        "below": sum(gap > 0 for gap in gaps),
        "largest": 100 * max(0.0, *gaps),
        "compared": len(pairs),
        "worse": sum(guarded.accuracy < alone.accuracy for alone, guarded in pairs),
        "better": sum(guarded.accuracy > alone.accuracy for alone, guarded in pairs),
        "intervened": sum(guarded.rollbacks > 0 for _, guarded in pairs),
    }


def _make_table(cells: Sequence[Cell]) -> Table:
    table = Table(box=box.MARKDOWN)
    for column in ("optimiser", "rate", "activation"):
        table.add_column(column)
    for column in ("clipping 1.0", "guard 1.0", "best norm", "clipping", "guard", "rollbacks"):
        table.add_column(column, justify="right")
    for cell in cells:
        (alone, guarded), (best_alone, best_guarded) = cell.pairs()[0], cell.pairs()[-1]
        table.add_row(
            *(cell.optimizer, f"{cell.lr:g}", cell.activation),
            *map(_format_arm, (alone, guarded)),
            *(str(best_alone.clip_norm), _format_arm(best_alone), _format_arm(best_guarded)),
            str(guarded.rollbacks),
        )
    return table


def _format_arm(arm: Arm) -> str:
    lost = f" ({arm.lost} lost)" if arm.lost else ""
    return f"{100 * arm.accuracy:.1f}{lost}"


def _to_numbers(cells: Sequence[Cell]) -> dict[str, object]:
    return {"cells": [asdict(cell) for cell in cells]}


if __name__ == "__main__":
    typer.run(main)
