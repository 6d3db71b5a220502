"""Outcomes from before an experiment, of which plans are made."""

import pytest

from serve.experiments.statistics.samples import Counts, Moments, PairMoments
from serve.experiments.store import summaries as module
from serve.experiments.store.database import Store
from serve.experiments.store.summaries import Summaries
from tests.serve.experiments.store.outcome_reports import START, query, report
from tests.serve.experiments.store.rows import unit


def test_outcomes_are_known_before_any_experiment(store: Store) -> None:
    summaries = Summaries(store)
    assert summaries.reported(query(), START) == Moments()
    report(store, START - 1, 100.0, "old")
    for at, value, request in ((1, 3.0, "r"), (2, 5.0, "r"), (3, 1.0, "s")):
        report(store, START + at, value, request)
    report(store, START + 4, 2.0, unit=unit(1))
    report(store, START + 5, 7.0, "r", metric="other")
    known = summaries.reported(query(), START)
    assert isinstance(known, Moments)
    assert known.units == 3
    assert known.mean == pytest.approx(8 / 3)
    assert summaries.reported(query("binary"), START) == Counts(3, 3)
    assert summaries.reported(query("ratio", denominator="other"), START) == PairMoments.of([5.0], [7.0])


def test_outcomes_of_issued_ids_are_of_their_units(store: Store) -> None:
    for at, value, request in ((1, 3.0, "r"), (2, 5.0, "r"), (3, 1.0, "s")):
        report(store, START + at, value, request, unit=unit(1), number=9)
    assert Summaries(store).reported(query(), START) == Moments.of([3.0])


def test_of_many_outcomes_the_newest_are_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REPORTED", 2)
    for at in range(5):
        report(store, START + at, float(at), f"r{at}")
    assert Summaries(store).reported(query(), START) == Moments.of([3.0, 4.0])
