"""Executes runs and trials, and keeps each finished one in its own file.

A file appears whole or not at all, a run's after its model's. So whatever ends the study, even kill -9, only
what was in progress is lost.
"""

import functools
import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from adaptact.files import replace_file
from adaptive_act.checkpoint.checkpoint import load as load_checkpoint
from adaptive_act.checkpoint.checkpoint import save
from adaptive_act.study.architectures import describe_network
from adaptive_act.study.data import Dataset
from adaptive_act.study.parallel import Machines
from adaptive_act.study.run import Run, RunResult, TrialResult, run, run_trial
from adaptive_act.study.specs import RunSpec, versions
from adaptive_act.study.statistics import replace_non_finite
from adaptive_act.study.train import Curves
from adaptive_act.study.variants import Variant

FORMAT = "adaptact-study-run/2"
RUNS = "runs"
TRIALS = "trials"
INPUT = "x"

_Result = TypeVar("_Result", RunResult, TrialResult)

OnResult = Callable[[_Result, bool], None]
"""Called with each result, and whether it was read from the folder."""


def execute_runs(
    specs: Sequence[RunSpec], folder: Path, machines: Machines, on_result: OnResult[RunResult]
) -> dict[str, RunResult]:
    """The result of every spec by its key; those that are in `folder` already are not run again.

    An error in a run ends the study with that error; finished runs stay.
    """
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    missing, results = _read_known(specs, functools.partial(read_run, folder), on_result)
    return results | _run(machines.run(execute_run, missing, folder), on_result)


def execute_trials(
    specs: Sequence[RunSpec], folder: Path, machines: Machines, on_result: OnResult[TrialResult]
) -> dict[str, TrialResult]:
    """The validation scores of every spec by its key, as `execute_runs` does; no model is kept."""
    (folder / TRIALS).mkdir(parents=True, exist_ok=True)
    missing, results = _read_known(specs, functools.partial(read_trial, folder), on_result)
    return results | _run(machines.run(execute_trial, missing, folder), on_result)


def execute_run(spec: RunSpec, folder: Path) -> tuple[str, RunResult]:
    """Runs `spec` and keeps its model and its result in `folder`."""
    finished = run(spec)
    (folder / RUNS).mkdir(exist_ok=True)
    _save_model(finished, spec, model_path(folder, spec.key))
    measured = {"seconds": round(finished.seconds, 3), "result": asdict(finished.result)}
    _write_finished(spec, measured, folder / RUNS)
    return spec.key, finished.result


def execute_trial(spec: RunSpec, folder: Path) -> tuple[str, TrialResult]:
    """Runs `spec` as a trial and keeps its result in `folder`."""
    result = run_trial(spec)
    (folder / TRIALS).mkdir(exist_ok=True)
    _write_finished(spec, {"result": asdict(result)}, folder / TRIALS)
    return spec.key, result


def read_run(folder: Path, key: str) -> RunResult | None:
    """The result of a run that was finished before; None where there is none that can be read."""
    try:
        fields = _read_finished(folder / RUNS, key)
        if not model_path(folder, key).is_file():
            return None
        curves = {name: _restore_nan(entries) for name, entries in fields["curves"].items()}
        return RunResult(**fields | {"curves": Curves(**curves)})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_trial(folder: Path, key: str) -> TrialResult | None:
    """The result of a trial that was finished before; None where there is none that can be read."""
    try:
        return TrialResult(**_read_finished(folder / TRIALS, key))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def model_path(folder: Path, key: str) -> Path:
    """The checkpoint of a run's trained model."""
    return folder / RUNS / f"{key}.pt"


def load_trained_model(folder: Path, spec: RunSpec, shape: Sequence[int], classes: int) -> nn.Module:
    """The model of a finished run, in evaluation mode."""
    factory, _ = describe_network(spec.architecture, shape, classes, spec.baseline, spec.baseline)
    return load_checkpoint(model_path(folder, spec.key), factory=factory).model


def _read_known(
    specs: Sequence[RunSpec], read: Callable[[str], _Result | None], on_result: OnResult[_Result]
) -> tuple[list[RunSpec], dict[str, _Result]]:
    """The specs, each once, without a result in the folder, and the results of the others."""
    unique = {spec.key: spec for spec in specs}
    results = {key: result for key in unique if (result := read(key)) is not None}
    for result in results.values():
        on_result(result, True)
    return [spec for key, spec in unique.items() if key not in results], results


def _run(finished: Iterable[tuple[str, _Result]], on_result: OnResult[_Result]) -> dict[str, _Result]:
    results: dict[str, _Result] = {}
    for key, result in finished:
        results[key] = result
        on_result(result, False)
    return results


def _write_finished(spec: RunSpec, measured: Mapping[str, Any], folder: Path) -> None:
    document = {"format": FORMAT, "key": spec.key, "spec": asdict(spec), "versions": versions(), **measured}
    with replace_file(folder / f"{spec.key}.json") as path:
        text = json.dumps(replace_non_finite(document), indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")


def _read_finished(folder: Path, key: str) -> dict[str, Any]:
    """The fields of a result, its scores NaN where they are null; raises where it is not that of `key`."""
    document = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
    if (document["format"], document["key"]) != (FORMAT, key):
        raise ValueError(f"expected a result of `{key}` in {FORMAT}, got {document['key']}")
    fields: dict[str, Any] = document["result"]
    return fields | {name: math.nan for name in ("loss", "error") if fields.get(name, 0) is None}


def _save_model(finished: Run, spec: RunSpec, path: Path) -> None:
    activation = spec.baseline if Variant.parse(spec.variant).learns else spec.variant
    data = finished.data
    factory, kwargs = describe_network(spec.architecture, data.shape, data.outputs, spec.baseline, activation)
    with warnings.catch_warnings():
        # To load a network of the user's own, one has to name its factory.
        warnings.filterwarnings("ignore", message=".*is not marked with.*")
        save(
            finished.model,
            path,
            factory=factory,
            factory_kwargs=kwargs,
            inputs=[{"name": INPUT, "dtype": "float32", "shape": [None, *data.shape]}],
            classes=data.classes or None,
            preprocessing=_describe_preprocessing(data),
        )


def _describe_preprocessing(data: Dataset) -> dict[str, Any]:
    """How samples become inputs, and outputs become numbers in the units of the data."""
    inputs = {"mean": list(data.mean), "std": list(data.std)}
    outputs = {} if data.classes else {"target_mean": data.target_mean, "target_std": data.target_std}
    return inputs | outputs


def _restore_nan(entries: Sequence[float | None]) -> list[float]:
    return [math.nan if entry is None else entry for entry in entries]
