"""Runs the committed studies on MNIST and Fashion-MNIST, and sums them up in one page: `make study`.

Each study continues where it was interrupted, in build/studies; its report and figures end in
docs/results/studies/<name>, the summary in docs/results/studies.md. About two hours on two idle
cores.
"""

import json
import shutil
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from adaptive_act.commands.study import app as study
from benchmarks.results import RESULTS, publish

RUNS = Path("build/studies")
REPORTS = RESULTS / "studies"

# This library grew from PReLU, PELU, ABU and NEAAF. StarReLU and XIELU were among the best three of all
# elementwise activations on the validation samples of Fashion-MNIST, with an MLP, one rate, 10,000 training
# samples and two seeds that no study uses.
ACTIVATIONS = ("PReLU", "PELU", "ABU", "NEAAF", "StarReLU", "XIELU")
SEEDS = 10


@dataclass(frozen=True, slots=True)
class Study:
    """One study: its name, its title in the summary, its data, and the options that the studies differ in."""

    name: str
    title: str | None
    """None where it is not in the summary."""
    data: str
    options: str
    activations: tuple[str, ...] = ACTIVATIONS


MLP = "--architecture mlp --epochs 10 --batch 256"
CNN = "--architecture cnn --epochs 3"
RESNET = "--architecture resnet(width=8) --epochs 4 --lr 3e-3,1e-2,3e-2"
TABULAR = "--architecture mlp(width=64) --epochs 40 --batch 32 --validation 0.25 --lr 1e-4,3e-4,1e-3,3e-3"

STUDIES = (
    Study("mnist-mlp", "MNIST, MLP", "mnist", MLP),
    Study("fashion-mnist-mlp", "Fashion-MNIST, MLP", "fashion", MLP),
    Study("fashion-mnist-cnn", "Fashion-MNIST, CNN", "fashion", CNN),
    Study("fashion-mnist-resnet", "Fashion-MNIST, residual net", "fashion", RESNET),
    Study("diabetes-mlp", None, "diabetes", TABULAR),
)
NOTES = f"""\
Accuracy on the test samples: that of ReLU, below it the differences to ReLU on the same {SEEDS} seeds in
percentage points, with 95 % intervals. * marks a difference that the exact test shows, corrected for the
study's comparisons; † an activation that starts elsewhere than ReLU. Each activation, ReLU included, is
trained at the learning rate that did best on the validation samples: the second table. The third shows what
that changed: leads over ReLU on the validation samples, at the lowest rate for all → at each one's own."""


def main(
    mnist: Annotated[Path, typer.Option(help="Folder with the IDX files of MNIST.")],
    fashion: Annotated[Path, typer.Option(help="Folder with the IDX files of Fashion-MNIST.")],
    jobs: Annotated[int, typer.Option(help="Runs at once.")] = 2,
) -> None:
    """Run the studies that are missing, and write their reports and the summary."""
    folders = {"mnist": str(mnist), "fashion": str(fashion)}
    for one in STUDIES:
        output = RUNS / one.name
        study(
            [*list_options(one, folders.get(one.data, one.data), jobs), "--output", str(output)],
            standalone_mode=False,
        )
        _keep_results(output, REPORTS / one.name)
    publish("studies", "Does it pay? Learned activations beside ReLU", make_summary(), {}, NOTES)


def list_options(one: Study, data: str, jobs: int) -> list[str]:
    """The study as options of `adaptact-study`; its cost is left out, which other benchmarks measure."""
    common = ("--activations", ",".join(one.activations), "--seeds", str(SEEDS), "--no-cost")
    return ["--data", data, *one.options.split(), *common, "--jobs", str(jobs)]


def make_summary() -> list[Table]:
    """A row an activation, a column a study: accuracy over ReLU, the rates, and what the rates changed."""
    summed_up = [one for one in STUDIES if one.title is not None]
    results = {str(one.title): _read_results(one.name) for one in summed_up}
    names = list(dict.fromkeys(name for one in summed_up for name in ("ReLU", *one.activations)))
    tables = []
    for title, columns in (
        ("Accuracy", [_format_outcomes(each) for each in results.values()]),
        ("Learning rates", [_format_rates(each) for each in results.values()]),
        ("What tuning changed", [_format_leads(each) for each in results.values()]),
    ):
        table = Table("activation", title=title, box=box.MARKDOWN)
        for study_title in results:
            table.add_column(study_title, justify="right")
        for name in names:
            table.add_row(_mark_start(name, results.values()), *(cells.get(name, "") for cells in columns))
        tables.append(table)
    return tables


def _mark_start(name: str, results: Iterable[Mapping[str, Any]]) -> str:
    """The name, with a mark where the activation does not start as ReLU."""
    starts = {o["starts_as_baseline"] for each in results for o in each["outcomes"] if o["variant"] == name}
    return name if all(starts) else f"{name} †"


def _format_outcomes(results: Mapping[str, Any]) -> dict[str, str]:
    """By activation the difference in percentage points with its interval; ReLU's accuracy."""
    return {outcome["variant"]: _format_outcome(outcome) for outcome in results["outcomes"]}


def _format_outcome(outcome: Mapping[str, Any]) -> str:
    against = outcome["against_baseline"]
    if against is None:
        return f"{100 * outcome['score']['mean']:.2f} %"
    mean, low, high = (100 * against["difference"][part] for part in ("mean", "low", "high"))
    mark = " *" if against["verdict"] in ("better", "worse") else ""
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}){mark}"


def _format_rates(results: Mapping[str, Any]) -> dict[str, str]:
    return {outcome["variant"]: f"{outcome['lr']:g}" for outcome in results["outcomes"]}


def _format_leads(results: Mapping[str, Any]) -> dict[str, str]:
    """By activation its lead over ReLU at the lowest rate and at the chosen ones; ReLU's accuracy."""
    tuning, rates = results["tuning"], results["plan"]["rates"]
    lowest = {score["variant"]: _mean(score) for score in tuning if score["lr"] == rates[0]}
    chosen = {score["variant"]: _mean(score) for score in tuning if score["is_chosen"]}
    leads = {
        name: f"{100 * (lowest[name] - lowest['ReLU']):+.2f} → {100 * (chosen[name] - chosen['ReLU']):+.2f}"
        for name in chosen
    }
    return leads | {"ReLU": f"{100 * lowest['ReLU']:.2f} → {100 * chosen['ReLU']:.2f} %"}


def _mean(score: Mapping[str, Any]) -> float:
    return statistics.fmean(score["scores"])


def _read_results(name: str) -> dict[str, Any]:
    results: dict[str, Any] = json.loads((REPORTS / name / "results.json").read_text(encoding="utf-8"))
    return results


def _keep_results(output: Path, kept: Path) -> None:
    """Copies the report, its figures and its numbers, not the runs."""
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(output, kept, ignore=shutil.ignore_patterns("runs", "trials", "report.html"))


if __name__ == "__main__":
    typer.run(main)
