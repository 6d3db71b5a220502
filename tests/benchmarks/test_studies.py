from typing import Any

import pytest

from benchmarks import studies
from benchmarks.studies import Study, make_summary


def outcome(name: str, mean: float, lr: float, verdict: str | None) -> dict[str, Any]:
    difference = {"mean": 0.0125, "low": 0.01, "high": 0.015}
    against = None if verdict is None else {"difference": difference, "verdict": verdict}
    score = {"mean": mean}
    starts = name != "StarReLU"
    return {
        "variant": name,
        "score": score,
        "lr": lr,
        "against_baseline": against,
        "starts_as_baseline": starts,
    }


def trial(name: str, lr: float, *scores: float, chosen: bool = False) -> dict[str, Any]:
    return {"variant": name, "lr": lr, "scores": scores, "is_chosen": chosen}


RESULTS = {
    "plan": {"rates": [0.001, 0.003]},
    "outcomes": [
        outcome("ReLU", 0.9, 0.003, None),
        outcome("PReLU", 0.9125, 0.001, "no difference shown"),
        outcome("StarReLU", 0.9125, 0.001, "better"),
    ],
    "tuning": [
        trial("ReLU", 0.001, 0.86, 0.88),
        trial("ReLU", 0.003, 0.90, 0.90, chosen=True),
        trial("PReLU", 0.001, 0.89, 0.89, chosen=True),
        trial("PReLU", 0.003, 0.80, 0.80),
        trial("StarReLU", 0.001, 0.91, 0.93, chosen=True),
        trial("StarReLU", 0.003, 0.5, 0.5),
    ],
}


def test_the_summary_has_accuracy_rates_and_what_they_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "STUDIES", (Study("a", "A", "mnist", "", ("PReLU", "StarReLU")),))
    monkeypatch.setattr(studies, "_read_results", lambda _: RESULTS)
    accuracy, rates, changed = [[list(column.cells) for column in table.columns] for table in make_summary()]
    assert accuracy == [
        ["ReLU", "PReLU", "StarReLU †"],
        ["90.00 %", "+1.25 (+1.00 to +1.50)", "+1.25 (+1.00 to +1.50) *"],
    ]
    assert rates[1] == ["0.003", "0.001", "0.001"]
    assert changed[1] == ["87.00 → 90.00 %", "+2.00 → -1.00", "+5.00 → +2.00"]
