"""The cost of a variant relative to the baseline: of a training step, and of an exported prediction."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaptact.files import replace_file
from adaptact.installation import install_line
from adaptive_act.study.architectures import describe_network
from adaptive_act.study.data import Dataset
from adaptive_act.study.execute import model_path
from adaptive_act.study.optimizer import make_optimizer
from adaptive_act.study.parallel import use_one_thread
from adaptive_act.study.plan import Plan, make_run_spec
from adaptive_act.study.run import build_untrained
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.statistics import Mean, median_interval

LATENCY_ROUNDS = 41
Latencies = Mapping[str, Mean | str]
"""By variant: the median ratio to the baseline's file, or why there is none."""
FILE = "cost.json"
ROUNDS = 21
TURN_SECONDS = 0.05
WARM_UP_SECONDS = 0.2
OnStep = Callable[[], None]


@dataclass(frozen=True, slots=True)
class VariantCost:
    """A variant's cost as ratios to the baseline: medians over the rounds, with their intervals."""

    training_step: Mean
    latency: Mean | None
    """Of one prediction by the exported file; None where it was not measured."""
    not_measured: str | None
    """Why there is no latency."""


Costs = dict[str, VariantCost]
"""By variant; the baseline's is 1. Empty where the plan does not ask for it."""


def measure_costs(plan: Plan, data: Dataset, folder: Path, jobs: int, on_step: OnStep) -> Costs:
    """The cost of each of the plan's variants; measured once, then read from `folder`."""
    if not plan.cost:
        return {}
    specs = [make_run_spec(plan, data.digest, variant, plan.seeds[0]) for variant in plan.all_variants]
    key = [spec.key for spec in specs]
    known = _read_known(folder / FILE, key)
    if known is not None:
        return known
    steps = _time_steps([_make_step(spec, data) for spec in specs], on_step)
    latencies = measure_latencies(specs, data, folder, jobs)
    on_step()
    costs = {
        spec.variant: VariantCost(step, *_split_latency(latencies, spec))
        for spec, step in zip(specs, steps, strict=True)
    }
    with replace_file(folder / FILE) as path:
        document = {"key": key, "cost": {name: asdict(variant_cost) for name, variant_cost in costs.items()}}
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return costs


def measure_latencies(specs: Sequence[RunSpec], data: Dataset, folder: Path, jobs: int) -> Latencies:
    """The latency of each run's exported model as a ratio to the first one's, one sample at a time."""
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / f"{place}.onnx" for place in range(len(specs))]
        with ThreadPoolExecutor(jobs) as pool:
            failures = list(
                pool.map(lambda spec, file: _export_model(spec, data, folder, file), specs, files)
            )
        if failures[0] is not None:
            return {spec.variant: f"the baseline has no file: {failures[0]}" for spec in specs}
        there = [file for file, failure in zip(files, failures, strict=True) if failure is None]
        turns = _time_files(there)
    if isinstance(turns, str):
        return {spec.variant: turns for spec in specs}
    base = turns[str(files[0])]
    return {
        spec.variant: failure or _median_ratio(turns[str(file)], base)
        for spec, file, failure in zip(specs, files, failures, strict=True)
    }


def median_ratios(turns: Sequence[Sequence[float]]) -> list[Mean]:
    """For each series of turns, the median ratio to the first series' turn of the same round."""
    return [_median_ratio(times, turns[0]) for times in turns]


def _median_ratio(turns: Sequence[float], base: Sequence[float]) -> Mean:
    return median_interval([turn / base_turn for turn, base_turn in zip(turns, base, strict=True)])


def _export_model(spec: RunSpec, data: Dataset, folder: Path, file: Path) -> str | None:
    """Exports the run's model to `file`; returns why it failed, or None."""
    factory, _ = describe_network(spec.architecture, data.shape, data.outputs, spec.baseline, spec.baseline)
    model = model_path(folder, spec.key)
    process = _run_module("convert.commands.export", str(model), str(file), "--factory", factory, "--json")
    return None if process.returncode == 0 else _describe_failure(process)


def _time_files(files: Sequence[Path]) -> dict[str, list[float]] | str:
    process = _run_module("convert.latency", *map(str, files), "--rounds", str(LATENCY_ROUNDS), "--json")
    if process.returncode != 0:
        return _describe_failure(process)
    microseconds: dict[str, list[float]] = json.loads(process.stdout)["microseconds"]
    return microseconds


def _run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from {module} import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _describe_failure(process: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in process.stderr.strip().splitlines() if not line.startswith("hint:")]
    last = lines[-1] if lines else f"exit status {process.returncode}"
    if "ModuleNotFoundError" in last:
        return f"the export is not installed ({last.partition(': ')[2]}): {install_line('convert')}"
    return last.removeprefix("error: ")


def _split_latency(latencies: Latencies, spec: RunSpec) -> tuple[Mean | None, str | None]:
    latency = latencies[spec.variant]
    return (None, latency) if isinstance(latency, str) else (latency, None)


def _make_step(spec: RunSpec, data: Dataset) -> Callable[[], Tensor]:
    """One training step of the variant, forward to optimizer, on one batch."""
    model = build_untrained(spec, data).model.train()
    optimizer = make_optimizer(model, spec.training, spec.lr)
    batch = data.train.x[: spec.training.batch], data.train.labels[: spec.training.batch]

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = data.task.compute_loss(model(batch[0]), batch[1])
        torch.autograd.backward(loss)
        optimizer.step()
        return loss

    return step


def _time_steps(steps: Sequence[Callable[[], Tensor]], on_step: OnStep) -> list[Mean]:
    turns: list[list[float]] = [[] for _ in steps]
    with use_one_thread():
        for step in steps:
            _time_step(step, WARM_UP_SECONDS)
        for number in range(ROUNDS):
            # Back and forth, so that a drift during a round favours no variant.
            places = range(len(steps)) if number % 2 == 0 else reversed(range(len(steps)))
            for place in places:
                turns[place].append(_time_step(steps[place], TURN_SECONDS))
            on_step()
    return median_ratios(turns)


def _time_step(step: Callable[[], Tensor], seconds: float) -> float:
    """The mean seconds of a step, repeated until the time is over."""
    count, begin = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - begin < seconds:
        step()
        count += 1
    return (time.perf_counter() - begin) / count


def _read_known(path: Path, key: list[str]) -> Costs | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["key"] != key:
            return None
        return {name: _parse_cost(fields) for name, fields in document["cost"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse_cost(fields: dict[str, Any]) -> VariantCost:
    latency = fields["latency"]
    return VariantCost(
        Mean(**fields["training_step"]),
        None if latency is None else Mean(**latency),
        fields["not_measured"],
    )
