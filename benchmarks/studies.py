"""Runs the committed studies on MNIST and Fashion-MNIST, and sums them up in one table: `make study`.

Each study continues where it was interrupted, in build/studies; its report and figures end in
docs/results/studies/<name>, the summary in docs/results/studies.md. An hour or more on two cores.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from adaptive_act.study.cli import app as study
from benchmarks.results import RESULTS, publish

RUNS = Path("build/studies")
REPORTS = RESULTS / "studies"

# The last three had the best validation accuracy of all elementwise activations on 10,000 training samples
# of Fashion-MNIST, with two seeds that no study uses: --train-size 10000 --first-seed 100 --epochs 5.
ACTIVATIONS = (
    *("ELU", "SiLU", "PReLU", "PELU", "Swish", "ABU", "NEAAF", "NEAAF(side=both)"),
    *("StarReLU", "XIELU", "HermitePolynomial"),
)
CLOSER = ("PReLU", "NEAAF(side=both)", "XIELU")


@dataclass(frozen=True, slots=True)
class Study:
    """One study: what it is called in the summary (None: not in it), and its options beside the data."""

    name: str
    title: str | None
    data: str
    options: tuple[str, ...]


def _options(
    architecture: str, activations: tuple[str, ...], seeds: int, epochs: int, *more: str
) -> tuple[str, ...]:
    return (
        *("--architecture", architecture, "--baseline", "ReLU", "--activations", ",".join(activations)),
        *("--seeds", str(seeds), "--epochs", str(epochs), *more),
    )


STUDIES = (
    Study("mnist-mlp", "MNIST, MLP", "mnist", _options("mlp", ACTIVATIONS, 10, 6)),
    Study("fashion-mnist-mlp", "Fashion-MNIST, MLP", "fashion", _options("mlp", ACTIVATIONS, 10, 6)),
    Study("mnist-cnn", "MNIST, CNN", "mnist", _options("cnn", ACTIVATIONS, 5, 6)),
    Study("fashion-mnist-cnn", "Fashion-MNIST, CNN", "fashion", _options("cnn", ACTIVATIONS, 5, 6)),
    Study("fashion-mnist-mlp-long", None, "fashion", _options("mlp", CLOSER, 8, 20, "--no-cost")),
    Study(
        "fashion-mnist-mlp-ablations",
        None,
        "fashion",
        _options("mlp", CLOSER, 8, 6, "--no-cost", "--ablations", "--robustness", "--extra-seeds", "4"),
    ),
)


def main(
    mnist: Annotated[Path, typer.Option(help="Folder with the IDX files of MNIST.")],
    fashion: Annotated[Path, typer.Option(help="Folder with the IDX files of Fashion-MNIST.")],
    jobs: Annotated[int, typer.Option(help="Runs at once.")] = 2,
) -> None:
    """Run the studies that are missing, and write their reports and the summary."""
    folders = {"mnist": mnist, "fashion": fashion}
    for one in STUDIES:
        output = RUNS / one.name
        command = [
            "--data",
            str(folders[one.data]),
            *one.options,
            "--jobs",
            str(jobs),
            "--output",
            str(output),
        ]
        study(command, standalone_mode=False)
        _keep_results(output, REPORTS / one.name)
    publish("studies", "Accuracy over ReLU on test samples", make_summary(), {})


def make_summary() -> Table:
    """A row an activation: its paired difference to ReLU in each study, and what it costs in the CNN."""
    results_of = {study.title: _read_results(study.name) for study in STUDIES if study.title is not None}
    table = Table("activation", box=box.MARKDOWN)
    for title in (*results_of, "training step", "prediction"):
        table.add_column(str(title), justify="right")
    costs = _read_results("fashion-mnist-cnn")["cost"]
    for position, name in enumerate(("ReLU", *ACTIVATIONS)):
        cells = [_format_cell(results["outcomes"][position], name) for results in results_of.values()]
        cost = costs.get(name, {})
        table.add_row(name, *cells, *(_format_ratio(cost.get(what)) for what in ("training_step", "latency")))
    return table


def _format_cell(outcome: dict[str, Any], name: str) -> str:
    """The difference in percentage points with its interval; the accuracy itself for the baseline."""
    assert outcome["variant"] == name
    against = outcome["against_baseline"]
    if against is None:
        return f"{100 * outcome['accuracy']['mean']:.2f} %"
    mean, low, high = (100 * against["difference"][part] for part in ("mean", "low", "high"))
    mark = " *" if against["verdict"] in ("better", "worse") else ""
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}){mark}"


def _format_ratio(mean: dict[str, float] | None) -> str:
    return "" if mean is None else f"{mean['mean']:.2f}x"


def _read_results(name: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((REPORTS / name / "results.json").read_text(encoding="utf-8"))
    return results


def _keep_results(output: Path, kept: Path) -> None:
    """Copies the report, its figures and its numbers, not the runs."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(output, kept, ignore=shutil.ignore_patterns("runs", "cost.json", "report.html"))


if __name__ == "__main__":
    typer.run(main)
