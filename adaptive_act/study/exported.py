"""How long the exported file of each variant takes, by the commands that a user would run.

They run as processes of their own: this package knows nothing of ONNX.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from adaptive_act.study.architectures import description
from adaptive_act.study.data import Data
from adaptive_act.study.execute import model_file
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.statistics import Mean, median_interval

ROUNDS = 41

Latencies = Mapping[str, Mean | str]
"""By variant: the median ratio to the baseline's file, or why there is none."""


def exported_latencies(specs: Sequence[RunSpec], data: Data, folder: Path, jobs: int) -> Latencies:
    """The latency of each run's exported model as a ratio to the first one's, one sample at a time."""
    with tempfile.TemporaryDirectory() as temporary:
        files = [Path(temporary) / f"{place}.onnx" for place in range(len(specs))]
        with ThreadPoolExecutor(jobs) as pool:
            failures = list(pool.map(lambda spec, file: _export(spec, data, folder, file), specs, files))
        if failures[0] is not None:
            return {spec.variant: f"the baseline has no file: {failures[0]}" for spec in specs}
        there = [file for file, failure in zip(files, failures, strict=True) if failure is None]
        turns = _turns(there)
    if isinstance(turns, str):
        return {spec.variant: turns for spec in specs}
    base = turns[str(files[0])]
    return {
        spec.variant: failure or _ratio(turns[str(file)], base)
        for spec, file, failure in zip(specs, files, failures, strict=True)
    }


def _ratio(turns: Sequence[float], base: Sequence[float]) -> Mean:
    return median_interval([turn / other for turn, other in zip(turns, base, strict=True)])


def _export(spec: RunSpec, data: Data, folder: Path, file: Path) -> str | None:
    """Writes the run's model to `file`; says what went wrong, or None."""
    factory, _ = description(spec.architecture, data.shape, len(data.classes), spec.baseline, spec.baseline)
    model = model_file(folder, spec.key)
    done = _run("convert.commands.export", str(model), str(file), "--factory", factory, "--json")
    return None if done.returncode == 0 else _reason(done)


def _turns(files: Sequence[Path]) -> dict[str, list[float]] | str:
    done = _run("convert.latency", *map(str, files), "--rounds", str(ROUNDS), "--json")
    if done.returncode != 0:
        return _reason(done)
    found: dict[str, list[float]] = json.loads(done.stdout)["microseconds"]
    return found


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"from {module} import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.strip().splitlines() if not line.startswith("hint:")]
    last = lines[-1] if lines else f"exit status {done.returncode}"
    if "ModuleNotFoundError" in last:
        return f"the export is not installed ({last.partition(': ')[2]}): pip install 'adaptact[convert]'"
    return last.removeprefix("error: ")
