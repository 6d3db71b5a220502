import contextlib
import importlib
import io
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adaptive_act.study import Training, cost, study
from adaptive_act.study.data import Dataset, load_dataset
from adaptive_act.study.plan import make_run_spec
from adaptive_act.study.specs import RunSpec
from adaptive_act.study.statistics import Mean
from tests.adaptive_act.study.models import plan
from tests.convert.test_latency import write_product


def test_ratios_are_medians_over_rounds() -> None:
    base = [1.0, 2.0, 10.0, 1.0, 1.0, 1.0, 1.0]
    same, twice = cost.median_ratios([base, [2 * turn for turn in base]])
    assert (same.mean, same.low, same.high) == (1, 1, 1)
    assert (twice.mean, twice.low, twice.high) == (2, 2, 2)


def run_here(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What runs in a process of its own, without the seconds in which that imports torch."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", [module, *arguments])
        with pytest.raises(SystemExit) as ended:
            importlib.import_module(module).main()
    return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), said.getvalue(), "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cost")
    asked = replace(plan("ABU", seeds=1, training=Training(epochs=1, batch=64)), cost=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cost, "ROUNDS", 7)
        patch.setattr(cost, "LATENCY_ROUNDS", 7)
        patch.setattr(cost, "_run_module", run_here)
        study(asked, folder, jobs=1)
    return folder


@pytest.mark.slow
def test_training_and_exported_file_are_measured(folder: Path) -> None:
    found = json.loads((folder / "results.json").read_text())["cost"]
    assert list(found) == ["ReLU", "ABU"]
    assert found["ReLU"]["training_step"]["mean"] == 1
    assert found["ABU"]["training_step"]["mean"] > 1
    assert found["ABU"]["not_measured"] is None
    assert found["ABU"]["latency"]["mean"] > 0.5
    assert "latency, ratio" in (folder / "report.md").read_text()


@pytest.mark.slow
def test_costs_are_kept_until_their_file_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / "results.json").read_text()
    monkeypatch.setattr(cost, "measure_latencies", None)  # whoever measures again fails
    study(replace(plan("ABU", seeds=1), cost=True), folder, jobs=1)
    assert (folder / "results.json").read_text() == before


@pytest.mark.slow
def test_without_the_exporter_the_report_says_so(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "convert").mkdir()
    (tmp_path / "convert" / "__init__.py").write_text("import no_such_exporter")
    monkeypatch.chdir(tmp_path)  # where the commands look first
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    asked = plan("ABU", seeds=1, training=Training(epochs=1, batch=64))
    data = load_dataset(asked.data)
    specs = [make_run_spec(asked, data.digest, variant, 0) for variant in asked.all_variants]
    found = cost.measure_latencies(specs, data, folder, jobs=1)
    assert set(found) == {"ReLU", "ABU"}
    assert all("[convert]" in str(reason) for reason in found.values()), found


@pytest.mark.slow
def test_a_failed_export_leaves_the_others_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = plan("ABU", "PELU", seeds=1)
    data = load_dataset(asked.data)
    specs = [make_run_spec(asked, data.digest, variant, 0) for variant in asked.all_variants]
    small = write_product(tmp_path / "small.onnx", 4)

    def export(spec: RunSpec, data: Dataset, folder: Path, destination: Path) -> str | None:
        shutil.copy(small, destination)
        return "parity failed" if spec.variant == "PELU" else None

    monkeypatch.setattr(cost, "_export_model", export)
    monkeypatch.setattr(cost, "LATENCY_ROUNDS", 7)
    found = cost.measure_latencies(specs, data, folder, jobs=2)
    assert found["PELU"] == "parity failed"
    assert isinstance(found["ABU"], Mean)
    assert math.isfinite(found["ABU"].mean)
