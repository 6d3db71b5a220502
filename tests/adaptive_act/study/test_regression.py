"""Studies of numbers to predict, from the data to the report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from adaptive_act import load
from adaptive_act.errors import DataError, StudyError
from adaptive_act.study import DataSpec, Plan, Training, study
from adaptive_act.study.data import load_dataset
from adaptive_act.study.execute import RUNS
from adaptive_act.study.train import predict
from tests.adaptive_act.study.models import plan

DIABETES = DataSpec("diabetes")
TRAINING = Training(epochs=10, batch=32)


def regression(*variants: str, **options: Any) -> Plan:
    return replace(plan(*variants, rates=(1e-2,), training=TRAINING, **options), data=DIABETES)


def write(path: Path, y: np.ndarray[Any, Any]) -> DataSpec:
    x = np.random.default_rng(0).normal(size=(len(y), 3)).astype(np.float32)
    np.savez(path / "own.npz", x=x, y=y)
    return DataSpec(str(path / "own.npz"))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regression")
    study(regression("PReLU", "ELU", seeds=3), folder, jobs=1)
    return folder


def test_targets_are_standardised_by_the_training_samples() -> None:
    data = load_dataset(DIABETES)
    assert (len(data.train), len(data.validation), len(data.test)) == (319, 35, 88)
    assert data.train.labels.dtype is torch.float32
    assert float(data.train.labels.mean()) == pytest.approx(0, abs=1e-6)
    assert float(data.train.labels.std(correction=0)) == pytest.approx(1, rel=1e-6)
    assert 25 <= data.target_mean + data.target_std * float(data.test.labels.min()) <= 346
    assert (data.outputs, data.task.name) == (1, "regression")


@pytest.mark.slow
def test_a_run_is_scored_in_the_units_of_the_data(done: Path) -> None:
    data = load_dataset(DIABETES)
    path = next((done / RUNS).glob("*.json"))
    result = json.loads(path.read_text())["result"]
    checkpoint = load(path.with_suffix(".pt"))
    assert checkpoint.preprocessing is not None
    std, mean = checkpoint.preprocessing["target_std"], checkpoint.preprocessing["target_mean"]
    given = predict(checkpoint.model, data.test.x)[:, 0].double().numpy() * std + mean
    wanted = data.test.labels.double().numpy() * std + mean
    assert result["score"] == pytest.approx(r2_score(wanted, given), rel=1e-6)
    assert result["loss"] == pytest.approx(mean_squared_error(wanted, given), rel=1e-6)
    assert result["error"] == pytest.approx(mean_absolute_error(wanted, given), rel=1e-6)
    assert result["score"] > 0.3
    assert result["diverged"] is None


@pytest.mark.slow
def test_the_report_speaks_of_numbers(done: Path) -> None:
    text = (done / "report.md").read_text()
    assert "| activation | starts | R² | difference | p | verdict | diverged |" in text
    assert "| parameters added | MAE | MSE |" in text
    assert "its R² on the test samples is not above 0" in text
    for word in ("ccuracy", "ECE", "percentage points", "accurate"):
        assert word not in text
    assert json.loads((done / "results.json").read_text())["data"]["task"] == "regression"


@pytest.mark.slow
def test_what_is_no_better_than_the_mean_counts_as_diverged(tmp_path: Path) -> None:
    noise = write(tmp_path, np.random.default_rng(1).normal(size=60))
    found = study(replace(regression(seeds=1), data=noise), tmp_path / "out", jobs=1)
    assert {run.diverged for outcome in found.outcomes for run in outcome.runs} == {"R² is not above 0"}


def test_robustness_needs_classes(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needs data of classes"):
        study(replace(regression(), robustness=True), tmp_path / "out", jobs=1)
    with pytest.raises(DataError, match="need classes"):
        load_dataset(replace(DIABETES, label_noise=0.1))


@pytest.mark.parametrize(
    ("y", "task", "held"),
    [
        (np.linspace(0.5, 1, 60), None, "regression"),
        (np.arange(60) % 3, None, "classification"),
        (np.arange(60) % 3, "regression", "regression"),
        ((np.arange(60) % 3).astype(float), "classification", "classification"),
        ((np.arange(60) % 3).astype(float), "regression", "regression"),
    ],
)
def test_labels_and_task_decide_what_is_learned(
    y: np.ndarray[Any, Any], task: Any, held: str, tmp_path: Path
) -> None:
    assert load_dataset(replace(write(tmp_path, y), task=task)).task.name == held


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        (np.arange(60.0), None, "--task classification` or"),
        (np.linspace(0, 1, 60), "classification", "expected whole numbers"),
        (np.full(60, 0.5), None, r"got 0.5 for all \d+ training samples"),
        (np.full(60, np.nan), None, "finite"),
        (np.full(60, 1e300), "regression", "finite in float32"),
        (np.ones((60, 2)) / 3, None, "expected 60 labels"),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused(
    y: np.ndarray[Any, Any], task: Any, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset(replace(write(tmp_path, y), task=task))


@pytest.mark.parametrize(("source", "task"), [("digits", "regression"), ("diabetes", "classification")])
def test_a_task_that_the_data_do_not_hold_is_refused(source: str, task: Any) -> None:
    with pytest.raises(DataError, match="holds data for"):
        load_dataset(DataSpec(source, task=task))
