"""One cell of the benchmark, and what its page says of numbers that are known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_act import ACTIVATIONS
from benchmarks import activation_cost, cells
from benchmarks.activation_cost import NAMED, Setting, list_settings, make_row
from benchmarks.activation_files import Subject, make_adaptive, write_files, write_plain, write_tuned
from benchmarks.activation_page import (
    CostRow,
    PublishedRows,
    budget_table,
    judge_budgets,
    make_tables,
    publish_rows,
    read_published,
)
from benchmarks.cells import CellStore
from benchmarks.networks import NETWORKS
from benchmarks.rivals import ONNXSLIM, make_textbook
from benchmarks.turns import make_session_run

SMALLEST = Setting(Subject("MLP", "PELU", per_channel=False, tuned=True), batch=1, threads=1)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CellStore:
    monkeypatch.setattr(cells, "BUILD", tmp_path)
    monkeypatch.setattr("benchmarks.activation_files.TUNING_SECONDS", 0.5)
    monkeypatch.setattr("benchmarks.turns.WARM_UP_SECONDS", 0.0)
    return CellStore("activation_cost", activation_cost.OWN)


@pytest.mark.slow
def test_a_cell_compares_every_tool(build: CellStore) -> None:
    subject = SMALLEST.subject
    write_plain(subject.network, build.folder)
    files = write_files(subject, build.folder)
    assert files.failed == {}
    assert write_tuned(subject, build.folder) is None
    row = make_row(SMALLEST, {}, activation_cost._time(build, SMALLEST, quick=True))
    slim = {"slim"} if ONNXSLIM else set()
    assert set(row.to_plain) == {"ours", "tuned", "torch", "textbook"} | slim
    assert row.plain_us > 0
    assert len(make_tables([row])) == 3


@pytest.mark.slow
def test_the_files_of_a_cell_compute_the_same(build: CellStore) -> None:
    subject = Subject("MLP", "PELU", per_channel=True, tuned=False)
    write_files(subject, build.folder)
    example = NETWORKS["MLP"].example(2)
    expected = make_adaptive(subject)(example).detach().numpy()
    files = {key: path for key, path in subject.files(build.folder).items() if key != "plain"}
    assert {"ours", "torch", "textbook"} <= set(files)
    for path in files.values():
        found: Any = make_session_run(path, {"x": example.numpy()}, threads=1)()
        np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(ACTIVATIONS))
def test_the_textbook_form_equals_the_activation(family: str) -> None:
    model = make_adaptive(Subject("CNN", family, per_channel=True, tuned=False))
    written = make_textbook(model)
    if written is None:
        pytest.skip("it has no textbook form")
    x = NETWORKS["CNN"].example(2)
    torch.testing.assert_close(written(x), model(x), rtol=1e-3, atol=1e-4)


def test_unfitting_activations_are_skipped_with_a_reason(build: CellStore) -> None:
    files = write_files(Subject("MLP", "Funnel", per_channel=True, tuned=False), build.folder)
    assert files.reason is not None
    assert "images" in files.reason


def test_every_family_is_measured_in_every_network() -> None:
    places = list(list_settings(list(ACTIVATIONS), quick=False))
    assert len({place.key for place in places}) == len(places)
    for network, described in NETWORKS.items():
        one_thread = [place for place in places if place.subject.network == network and place.threads == 1]
        assert {place.subject.family for place in one_thread} == set(ACTIVATIONS)
        assert {place.batch for place in one_thread} == set(described.batches)
    assert {place.subject.family for place in places if place.threads == 2} == set(NAMED)


def row(ours: float, torchs: float) -> CostRow:
    return CostRow(
        "CNN", 1, 1, "PELU", False, 10.0, {"ours": ours, "torch": ours / torchs}, {"torch": torchs}, {}
    )


def test_a_budget_is_met_or_not_by_what_is_printed() -> None:
    rows = [row(1.0, 0.5), row(1.304, 1.03)]
    met = {verdict.what: verdict.met for verdict in judge_budgets(rows)}
    assert met == {
        "adaptact / ReLU, geometric mean": False,  # √1.304 = 1.14
        "adaptact / ReLU, worst": True,
        "adaptact / torch, geometric mean": True,  # √0.515 = 0.72
        "adaptact / torch, worst": False,
    }
    assert list(budget_table(rows).columns[3].cells) == ["**not met**", "met", "met", "**not met**"]


def test_measuring_again_replaces_only_its_cells() -> None:
    kept, old, new = row(1.0, 1.0), replace(row(1.1, 1.0), activation="BLU"), row(1.2, 1.0)
    left_out = {"CNN-MetaACON-channels": "parity failed", "MLP-Funnel-channels": "images"}
    before = PublishedRows([kept, old], left_out, "an old one", {"PAU": "an old one"})
    after = before.renewed(
        PublishedRows([replace(new, activation="BLU")], {}, "a new one"), ["MetaACON", "BLU"]
    )
    assert after.rows == [kept, replace(new, activation="BLU")]
    assert after.left_out == {"MLP-Funnel-channels": "images"}
    assert after.machine == "an old one"
    assert after.again == {"PAU": "an old one", "MetaACON": "a new one", "BLU": "a new one"}


def test_the_page_shows_what_its_numbers_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.results.RESULTS", tmp_path)
    monkeypatch.setattr("benchmarks.activation_page.RESULTS", tmp_path)
    measured = PublishedRows([row(1.0, 0.5)], {}, "Measured on this.", {"PELU": "Measured on that."})
    publish_rows(measured, ["PReLU"])
    assert read_published() == measured
    page = (tmp_path / "activation_cost.md").read_text()
    assert "later than the rest, once their files had changed: PELU. Measured on that." in page
    assert page.endswith("Measured on this.\n")
