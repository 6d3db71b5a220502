from typing import Any

import pytest

from benchmarks import cells, providers
from benchmarks.processes import FinishedProcess
from benchmarks.provider_page import make_tables
from benchmarks.provider_steps import AUTO, PEER

FINE: dict[str, Any] = {"cells": {}, "failed": {}}


def _cell(chosen: str, loss: float, **ratios: float) -> dict[str, Any]:
    return {
        "milliseconds": {"torch": 2.0},
        "to_torch": {"torch": 1.0, **ratios},
        "to_better": loss,
        "chosen": [chosen, 1],
        "rounds": 9,
        "failed": {PEER: "not installed"},
    }


def test_the_page_sums_up_what_auto_gained_and_where_it_lost() -> None:
    cells = {
        "1, 1": _cell("openvino", 1.0, cpu=1.0, openvino=0.5, **{AUTO: 0.5}),
        "8, 2": _cell("cpu", 1.04, cpu=0.8, openvino=0.77, **{AUTO: 0.8}),
    }
    net = {**FINE, "cells": cells, "compiled": {"failed": {}, "why": "no compiler"}}
    summary, each, failures = make_tables({"net": net})
    rows = list(zip(*(column.cells for column in summary.columns), strict=True))
    assert ("auto", "0.63", "0.80", "2") in rows
    assert ("auto / better; 1 of 2 above 1.03", "1.02", "1.04", "2") in rows
    assert (PEER, "", "", "0") in rows
    assert list(each.columns[-1].cells) == ["openvino", "cpu, 1 thread"]
    assert list(failures.columns[2].cells) == ["not installed", "no compiler"]


@pytest.mark.parametrize(
    ("one", "eight", "row"),
    [
        (3.0, 0.8, ("1 of 2 above 1.03", "1.12", "1.25", "2")),  # the CPU provider, for the sake of one row
        (1.02, 0.5, ("0 of 2 above 1.03", "1.01", "1.02", "2")),
        (0.9, 0.5, ("0 of 2 above 1.03", "1.00", "1.00", "2")),
    ],
)
def test_the_page_says_what_one_provider_for_both_batches_loses(
    one: float, eight: float, row: tuple[str, ...]
) -> None:
    cells = {
        "1, 2": _cell("cpu", 1.0, cpu=1.0, openvino=one),
        "8, 2": _cell("cpu", 1.0, cpu=1.0, openvino=eight),
        "8, 1": _cell("cpu", 1.0, cpu=1.0, openvino=eight),  # what has one batch loses nothing
    }
    summary = make_tables({"net": {**FINE, "cells": cells}})[0]
    rows = list(zip(*(column.cells for column in summary.columns), strict=True))
    assert (f"one for both batches / better; {row[0]}", *row[1:]) in rows


class Steps:
    """Steps that print a cell; those named in `broken` end with an error."""

    def __init__(self, *broken: str) -> None:
        self.broken, self.done = broken, list[str]()

    def run(self, code: str, *arguments: str, seconds: float) -> FinishedProcess:
        step = arguments[0] if code == providers.STEP else "export"
        self.done.append(step)
        status = -9 if f"{step} {arguments[1]}" in self.broken else 0
        return FinishedProcess(1.0, 2**20, status, '{"to_torch": {}, "failed": {}}', "")


@pytest.fixture(autouse=True)
def build(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "BUILD", tmp_path)


def test_a_net_that_fails_is_a_row_and_is_measured_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps("files tabular")
    monkeypatch.setattr(providers, "run", steps.run)
    measured = providers.measure(["tabular", "lstm"], False, None, float("inf"))
    assert measured["tabular"]["failed"] == {"batch 1 and 8": "ended by signal 9 after 1 s"}
    assert (len(measured["lstm"]["cells"]), measured["lstm"]["failed"]) == (4, {})
    assert "ended by signal 9" in str(
        list(make_tables({"tabular": measured["tabular"]})[-1].columns[2].cells)
    )
    steps.broken, steps.done = (), []
    assert len(providers.measure(["tabular", "lstm"], False, None, float("inf"))["tabular"]["cells"]) == 4
    assert steps.done == ["files", "export", "export", *["cell"] * 4, "files", "compiled"]  # of tabular alone


def test_nothing_is_begun_once_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps()
    monkeypatch.setattr(providers, "run", steps.run)
    assert providers.measure(["lstm"], False, None, 0.0)["lstm"]["failed"] == {"all": providers.LATE}
    assert steps.done == []
