"""Compare two models on live traffic, with labels that come late, and promote the better one."""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track

from examples.digits.data import Digits, read_digits
from examples.digits.served import run_server
from examples.experiment.picture import Look, draw_band
from examples.experiment.traffic import METRIC, Traffic
from examples.experiment.variants import put_variants

DEFINITION = """experiments:
  - name: digits
    model: digits
    control: {name: relu, version: 1}
    candidates: [{name: adaptive, version: 2}]
    stages: {shadow_share: 0, steps: [100]}
    metrics: [{name: right, kind: binary, is_primary: true}]
    guardrails:
      - {kind: error_rate}
      - {kind: nan}
      - {kind: latency, margin: 2, action: pause}
    planned_units: %d
"""
OUTPUT = Path("build/experiment")
ROUNDS = 25
LATE = 3
"""So many rounds later the labels of one are known."""
WAIT_SECONDS = 60.0


def main(
    units: Annotated[int, typer.Option(min=500, help="Units that ask.")] = 5000,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and images.")] = 0,
    output: Annotated[Path, typer.Option(help="Folder for models, store and picture.")] = OUTPUT,
) -> None:
    """Show an experiment from its start to the promotion of the better model."""
    console = Console()
    for kept in ("models", "store"):  # of another experiment
        shutil.rmtree(output / kept, ignore_errors=True)
    train_data, test_data = read_digits()
    console.print("training and exporting two models ...")
    truth = put_variants(output, train_data, test_data, seed)
    console.print(f"of the test digits ReLU has {truth.control:.1%} right, adaptive {truth.candidate:.1%}")
    (output / "experiments.yaml").write_text(DEFINITION % units, encoding="utf-8")
    store = ("--experiments", str(output / "experiments.yaml"), "--experiments-store", str(output / "store"))
    with run_server(output / "models", "--workers", "2", *store) as url:
        traffic = Traffic(url)
        traffic.answer_by("1")
        traffic.take("start")
        looks = list(_watch(traffic, test_data, units, seed))
        results = traffic.read_results()
        traffic.take("promote")
        _wait_until(lambda: traffic.find_versions() == {"2"}, "the better model answers everybody")
        traffic.close()
    metric = _find_metric(results)
    effect = truth.find_effect(metric["scale"], of_failures=metric["of_failures"])
    draw_band(looks, effect, output / "band.png")
    _show(console, results, effect)
    console.print(f"Picture of the band closing: {output / 'band.png'}")
    wrong = _list_failures(results, effect, units)
    for line in wrong:
        console.print(f"failed: {line}", style="bold red")
    raise typer.Exit(1 if wrong else 0)


def _watch(traffic: Traffic, data: Digits, units: int, seed: int) -> Iterator[Look]:
    """What is known after each round of requests; labels come some rounds later."""
    chance = np.random.default_rng(seed)
    images, labels = data.images.numpy(), data.labels.numpy()
    waiting: list[Any] = []
    rounds = np.array_split(np.arange(units), ROUNDS)
    for names in track([*rounds, *[np.arange(0)] * LATE], description="traffic and labels"):
        chosen = chance.integers(0, len(labels), len(names))
        waiting.append(traffic.ask([f"unit-{name}" for name in names], images[chosen], labels[chosen]))
        if len(waiting) > LATE:
            known = waiting.pop(0)
            traffic.report(known)
            yield _look(traffic)
    _wait_until(lambda: _look(traffic).labels >= units, "every unit and its label are stored")
    yield _look(traffic)


def _look(traffic: Traffic) -> Look:
    metric = _find_metric(traffic.read_results())
    known = sum(variant["units"] for variant in metric["variants"])
    ends = ("effect", "low", "high")
    effect, low, high = (math.nan if metric[name] is None else metric[name] for name in ends)
    return Look(known, effect, low, high, metric["scale"])


def _find_metric(results: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(metric for metric in results["metrics"] if metric["name"] == METRIC)
    return found


def _wait_until(seen: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not seen():
        if time.monotonic() > end:
            raise RuntimeError(f"after {WAIT_SECONDS:g} s it is not so that {what}")
        time.sleep(0.2)


def _show(console: Console, results: dict[str, Any], truth: float) -> None:
    metric = _find_metric(results)
    console.print(f"[bold]{results['verdict']}[/bold]: {results['sentence']}")
    console.print(
        f"{metric['scale']} {metric['effect']:.3f}, between {metric['low']:.3f} and {metric['high']:.3f}; "
        f"the truth is {truth:.3f}"
    )
    for name, costs in results["costs"].items():
        spent = costs["cpu_seconds_per_thousand"]
        shown = (
            "not measured" if spent is None else f"{1e3 * spent:.0f} ms of CPU for runs per 1,000 requests"
        )
        console.print(f"{name}: p95 {costs['latency_us']['p95']:.0f} µs, {shown}")


def _list_failures(results: dict[str, Any], truth: float, units: int) -> list[str]:
    """What went wrong, one line each; empty when all checks passed."""
    failures, metric = [], _find_metric(results)
    if results["verdict"] != "better":
        failures.append(f"the verdict is `{results['verdict']}`, expected `better`")
    if not metric["low"] <= truth <= metric["high"]:
        failures.append(f"the band from {metric['low']} to {metric['high']} misses {truth}")
    if sum(results["exposures"].values()) < units:
        failures.append(f"{sum(results['exposures'].values())} units are stored, expected {units}")
    if any(guardrail["is_shown"] for guardrail in results["guardrails"]):
        failures.append("a guardrail was set off, expected none")
    return failures


if __name__ == "__main__":
    typer.run(main)
