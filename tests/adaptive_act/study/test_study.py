"""The whole study, tiny: the same numbers again, resumed after kill -9, and told in words and pictures."""

import contextlib
import json
import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from scipy import stats

from adaptive_act import load
from adaptive_act.errors import DataError, FactoryError, StudyError
from adaptive_act.study import Architecture, DataSpec, Training, study
from adaptive_act.study.execute import RUNS, TRIALS
from tests.adaptive_act.processes import start_group
from tests.adaptive_act.study import models
from tests.adaptive_act.study.models import plan
from tests.waiting import until


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return content


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with everything but the cost."""
    folder = tmp_path_factory.mktemp("study")
    asked = plan("PReLU", "NEAAF(side=both)", "ELU", seeds=3, ablations=True, robustness=True)
    study(replace(asked, extra_seeds=2), folder, jobs=1)
    return folder


@pytest.mark.slow
def test_the_numbers_are_those_of_the_runs(done: Path) -> None:
    outcomes = {outcome["variant"]: outcome for outcome in read(done)["outcomes"]}
    accuracies = {name: [run["score"] for run in each["runs"]] for name, each in outcomes.items()}
    assert [len(each) for each in accuracies.values()] == [3] * 4
    for name, values in accuracies.items():
        assert outcomes[name]["score"]["mean"] == pytest.approx(np.mean(values))
    compared = outcomes["ELU"]["against_baseline"]["difference"]
    test = stats.ttest_rel(accuracies["ELU"], accuracies["ReLU"])
    assert (compared["low"], compared["high"]) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert compared["smallest_p"] == 0.25
    assert outcomes["ReLU"]["against_baseline"] is None


@pytest.mark.slow
def test_every_run_is_saved_with_its_spec_and_model(done: Path) -> None:
    files = sorted((done / RUNS).glob("*[0-9a-f].json"))
    files = [path for path in files if not path.name.endswith("corrupted.json")]
    assert len(files) == 3 * 4 + 2 * (1 + 2 * 2 + 8) + 2 * 4 * 6
    document = json.loads(files[0].read_text())
    assert document["key"] == files[0].stem
    assert document["versions"]["torch"]
    assert load(files[0].with_suffix(".pt")).classes == tuple("0123456789")


@pytest.mark.slow
def test_ablations_and_robustness_are_reported(done: Path) -> None:
    found = read(done)
    assert [each["ablation"]["change"] for each in found["ablations"]].count("parameters frozen") == 2
    assert [len(curve["levels"]) for curve in found["gamma"]] == [8]
    assert {curve["respect"] for curve in found["robustness"]} == {
        *("Gaussian noise", "blur", "contrast", "label noise", "class imbalance"),
    }
    for curve in found["robustness"]:
        assert curve["levels"][0]["score"]["mean"] > curve["levels"][-1]["score"]["mean"] - 0.1
    clean = {o["variant"]: np.mean([run["score"] for run in o["runs"][:2]]) for o in found["outcomes"]}
    for curve in found["robustness"]:
        assert curve["levels"][0]["score"]["mean"] == pytest.approx(clean[curve["variant"]])


@pytest.mark.slow
def test_the_page_needs_nothing_from_elsewhere(done: Path) -> None:
    html = (done / "report.html").read_text()
    without_drawings = re.sub(r"data:image/[^\"']*", "", html)
    assert re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:|#|\s*[\"'])[^\"']+", without_drawings) == []
    assert "<script" not in html
    assert "http://" not in without_drawings
    assert "https://" not in without_drawings
    assert html.count("data:image/") >= 10


@pytest.mark.slow
def test_the_report_starts_with_the_answer(done: Path) -> None:
    text = (done / "report.md").read_text()
    top = text[: text.index("## Each seed")]
    assert "Does it pay? That cannot be shown with 3 seeds" in top
    assert "How sure?" in top
    assert "What does it cost? At most 2 extra parameters" in top
    assert "too few seeds" in top
    assert "| rate of the activations | 10 times that of the weights, up to 0.03 |" in text


@pytest.mark.slow
def test_no_report_says_where_the_data_lie(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((200, 6), np.float32)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(200) % 2)
    study(replace(plan(), data=DataSpec(str(tmp_path / "own.npz"))), tmp_path / "out", jobs=1)
    for name in ("results.json", "report.md", "report.html"):
        text = (tmp_path / "out" / name).read_text()
        assert "own" in text
        assert str(tmp_path) not in text


@pytest.mark.slow
def test_every_picture_of_the_markdown_is_there(done: Path) -> None:
    pictures = re.findall(r"\]\((figures/[^)]+)\)", (done / "report.md").read_text())
    assert len(pictures) == len(set(pictures)) >= 10
    assert all((done / picture).stat().st_size > 5000 for picture in pictures)


@pytest.mark.slow
def test_equal_plans_give_equal_bytes_for_any_jobs(tmp_path: Path) -> None:
    for jobs in (1, 2):
        study(plan("PReLU"), tmp_path / str(jobs), jobs=jobs)
    texts = [(tmp_path / str(jobs) / "results.json").read_text() for jobs in (1, 2)]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(tmp_path: Path) -> None:
    study(plan(), tmp_path, jobs=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / RUNS).iterdir()}
    first = (tmp_path / "results.json").read_text()
    damaged, missing = sorted((tmp_path / RUNS).glob("*.json"))[:2]
    damaged.write_text(damaged.read_text()[:100])
    missing.unlink()
    study(plan(), tmp_path, jobs=1)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / RUNS).iterdir()}
    changed = {path.stem for path, when in after.items() if before.get(path) != when}
    assert changed == {damaged.stem, missing.stem}
    assert (tmp_path / "results.json").read_text() == first


@pytest.mark.slow
def test_kill_9_costs_only_the_runs_that_were_under_way(tmp_path: Path) -> None:
    """Of 12 trials of rates and 9 runs, some of both are there, done by two processes."""
    training, total = Training(epochs=4, batch=16), 21
    asked, folder = plan("PReLU", "PELU", seeds=3, rates=(1e-3, 1e-2), training=training), tmp_path / "out"
    process = start_group(study, asked, folder, 2)
    assert process.pid is not None
    group = process.pid
    until(lambda: len(finished(folder)) >= 3)
    process.kill()
    process.join()
    until(lambda: not alive(group))  # its workers end with it
    before = finished(folder)
    assert 3 <= len(before) < total
    study(asked, folder, jobs=1)
    after = finished(folder)
    assert len(after) == total
    assert {name: after[name] for name in before} == before
    study(asked, tmp_path / "undisturbed", jobs=1)
    assert read(folder) == read(tmp_path / "undisturbed")


def finished(folder: Path) -> dict[str, int]:
    files = [path for stage in (TRIALS, RUNS) for path in (folder / stage).glob("[0-9a-f]*.json")]
    return {str(path): path.stat().st_mtime_ns for path in files}


def alive(group: int) -> bool:
    """Whether a process of the group runs; one that has ended may wait long for somebody to take note."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


@pytest.mark.slow
def test_each_variant_is_trained_at_the_rate_that_validation_chose(tmp_path: Path) -> None:
    training = Training(epochs=1, batch=64, schedule="constant")
    asked = plan("PReLU", "SiLU", rates=(1e-9, 0.01, 30.0), training=training, ablations=True)
    found = study(asked, tmp_path, jobs=1)
    assert {outcome.variant: outcome.lr for outcome in found.outcomes} == dict.fromkeys(
        asked.all_variants, 0.01
    )
    scores = read(tmp_path)["tuning"]
    assert len(scores) == 3 * 3
    assert [len(score["scores"]) for score in scores] == [asked.tuning_seeds] * 9
    assert [score["lr"] for score in scores if score["is_chosen"]] == [0.01] * 3
    specs = [json.loads(path.read_text())["spec"] for path in (tmp_path / RUNS).glob("*.json")]
    assert {spec["lr"] for spec in specs} == {0.01}
    text = (tmp_path / "report.md").read_text()
    assert "## Learning rates" in text
    assert "No rate chosen is the lowest or highest of those tried." in text
    assert [outcome["starts_as_baseline"] for outcome in read(tmp_path)["outcomes"]] == [True, True, False]
    assert "start elsewhere, at their own initial values or as another plain activation: SiLU." in text


@pytest.mark.slow
def test_a_factory_of_the_users_own_is_studied(tmp_path: Path) -> None:
    asked = replace(plan("PReLU", "ELU"), architecture=Architecture(models.OWN, '{"width": 12}'))
    found = study(asked, tmp_path, jobs=1)
    assert found.baseline.runs[0].parameters == 64 * 12 + 12 + 12 * 10 + 10
    assert found.outcomes[1].runs[0].parameters_added == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"architecture": Architecture("mlp(wide=1)")}, StudyError),
        ({"architecture": Architecture("nowhere:f")}, FactoryError),
        ({"variants": ("Funnel",)}, StudyError),
        ({"data": DataSpec("/nowhere")}, DataError),
        ({"data": DataSpec("digits", train_size=10**6)}, DataError),
    ],
)
def test_impossible_plans_fail_before_training(
    change: dict[str, Any], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        study(replace(plan(), **change), tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_diverged_runs_are_counted_and_stay_in_the_mean(tmp_path: Path) -> None:
    training = Training(epochs=2, batch=64, optimizer="sgd")
    asked = plan(rates=(1e30,), training=training)
    found = study(asked, tmp_path, jobs=1)
    assert [outcome.diverged for outcome in found.outcomes] == [2, 2]
    assert math.isnan(found.baseline.error.mean)
    assert read(tmp_path)["outcomes"][0]["error"]["mean"] is None
    assert "4 of 4 runs diverged" in (tmp_path / "report.md").read_text()
    again = study(asked, tmp_path, jobs=1)
    assert str(again.outcomes) == str(found.outcomes)
