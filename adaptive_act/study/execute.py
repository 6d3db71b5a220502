"""Executes runs, and keeps each finished run in its own file.

A run's file appears whole or not at all, after its model's. So whatever ends the study, even kill -9, only
the runs in progress are lost.
"""

import functools
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from adaptact.files import replace_file
from adaptive_act.checkpoint.checkpoint import load as load_checkpoint
from adaptive_act.checkpoint.checkpoint import save
from adaptive_act.study.architectures import describe_network
from adaptive_act.study.parallel import map_in_processes
from adaptive_act.study.run import Run, RunResult, run
from adaptive_act.study.specs import RunSpec, versions
from adaptive_act.study.statistics import replace_non_finite
from adaptive_act.study.train import Curves
from adaptive_act.study.variants import Variant

FORMAT = "adaptact-study-run/1"
RUNS = "runs"
INPUT = "x"

OnRun = Callable[[RunResult, bool], None]
"""Called with each result, and whether it was read from the folder."""


def execute_runs(specs: Sequence[RunSpec], folder: Path, jobs: int, on_run: OnRun) -> dict[str, RunResult]:
    """The result of every spec by its key; those that are in `folder` already are not run again.

    An error in a run ends the study with that error; finished runs stay.
    """
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    unique = {spec.key: spec for spec in specs}
    results = {key: result for key in unique if (result := read_finished(folder, key)) is not None}
    for result in results.values():
        on_run(result, True)
    missing = [spec for key, spec in unique.items() if key not in results]
    for key, result in map_in_processes(functools.partial(execute_run, folder=folder), missing, jobs):
        results[key] = result
        on_run(result, False)
    return results


def execute_run(spec: RunSpec, folder: Path) -> tuple[str, RunResult]:
    """Runs `spec` and keeps its model and its result in `folder`."""
    finished = run(spec)
    _save_model(finished, spec, model_path(folder, spec.key))
    document = {
        "format": FORMAT,
        "key": spec.key,
        "spec": asdict(spec),
        "versions": versions(),
        "seconds": round(finished.seconds, 3),
        "result": replace_non_finite(asdict(finished.result)),
    }
    with replace_file(_result_path(folder, spec.key)) as path:
        path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return spec.key, finished.result


def read_finished(folder: Path, key: str) -> RunResult | None:
    """The result of a run that was finished before; None where there is none that can be read."""
    try:
        document = json.loads(_result_path(folder, key).read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["key"] != key or not model_path(folder, key).is_file():
            return None
        fields = _restore_nan(document["result"])
        return RunResult(**fields | {"curves": Curves(**fields["curves"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def model_path(folder: Path, key: str) -> Path:
    """The checkpoint of a run's trained model."""
    return folder / RUNS / f"{key}.pt"


def load_trained_model(folder: Path, spec: RunSpec, shape: Sequence[int], classes: int) -> nn.Module:
    """The model of a finished run, in evaluation mode."""
    factory, _ = describe_network(spec.architecture, shape, classes, spec.baseline, spec.baseline)
    return load_checkpoint(model_path(folder, spec.key), factory=factory).model


def _result_path(folder: Path, key: str) -> Path:
    return folder / RUNS / f"{key}.json"


def _save_model(finished: Run, spec: RunSpec, path: Path) -> None:
    activation = spec.baseline if Variant.parse(spec.variant).learns else spec.variant
    data = finished.data
    factory, kwargs = describe_network(
        spec.architecture, data.shape, len(data.classes), spec.baseline, activation
    )
    with warnings.catch_warnings():
        # To load a network of the user's own, one has to name its factory.
        warnings.filterwarnings("ignore", message=".*is not marked with.*")
        save(
            finished.model,
            path,
            factory=factory,
            factory_kwargs=kwargs,
            inputs=[{"name": INPUT, "dtype": "float32", "shape": [None, *data.shape]}],
            classes=data.classes,
            preprocessing={"mean": list(data.mean), "std": list(data.std)},
        )


def _restore_nan(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with NaN in place of each None that stands for a number."""
    numbers = {name: math.nan for name in ("loss", "ece") if fields[name] is None}
    curves = {
        name: [math.nan if entry is None else entry for entry in entries]
        for name, entries in fields["curves"].items()
    }
    return fields | numbers | {"curves": curves}
