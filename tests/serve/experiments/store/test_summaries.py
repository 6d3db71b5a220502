"""What is known of each variant, from a few events."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serve.experiments.request_ids import number_comparison
from serve.experiments.statistics.samples import Counts, LogHistogram, Moments, PairMoments
from serve.experiments.store import summaries as module
from serve.experiments.store.aggregates import Answers, Outcomes, Pairs, UnitEvents
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.outcome_queries import (
    OutcomeQuery,
    select_changes,
    select_open_units,
    select_units,
)
from serve.experiments.store.records import Inference
from serve.experiments.store.request_queries import (
    Pairing,
    count_requests,
    select_changed_pairs,
    select_exposed,
    select_news,
    select_pairs,
    select_requests,
    select_switched,
)
from serve.experiments.store.slices import SETTLE
from serve.experiments.store.summaries import DAY, Summaries
from tests.serve.experiments.store.outcome_reports import START, query, report
from tests.serve.experiments.store.rows import put_exposure, put_inference, unit

SECOND = 1_000_000


def read(store: Store, asked: OutcomeQuery, now: int = START + 1000 * SECOND) -> dict[str, Outcomes]:
    return Summaries(store).outcomes(asked, now)


def test_an_empty_store_has_empty_summaries(store: Store) -> None:
    summaries = Summaries(store)
    assert summaries.outcomes(query(), START) == {}
    assert summaries.requests("e", 1, START) == {}
    assert summaries.pairs(Pairing("e", 1, "a", "m"), START) == {}
    assert summaries.exposed("e", 1, START) == {}
    assert summaries.switched("e", 1) == 0


def test_feedback_that_comes_before_its_inference_is_joined(store: Store) -> None:
    put_exposure(store, 1, START)
    report(store, START + 1, 3.0, "r")
    assert read(store, query())["a"] == Outcomes(Moments(), units=1, without=1)
    put_inference(store, 1, Inference("r", START + 2, 10))
    assert read(store, query())["a"] == Outcomes(Moments.of([3.0]), units=1)


def test_of_two_labels_of_a_request_the_later_event_counts_whatever_comes_first(store: Store) -> None:
    put_exposure(store, 1, START)
    put_inference(store, 1, Inference("r", START, 10))
    report(store, START + 9, 1.0, "r")
    report(store, START + 5, 0.0, "r")
    assert read(store, query("binary"))["a"].sample == Counts(1.0, 1.0)


def test_an_outcome_by_an_issued_id_is_joined_without_its_inference(store: Store) -> None:
    number = number_comparison("e", 1)
    put_exposure(store, 1, START)
    put_exposure(store, 2, START)
    # Of one request the last outcome counts, and those of several requests are events of their own.
    for at, value, request in ((3, 1.0, "r"), (9, 3.0, "r"), (5, 2.0, "r"), (4, 5.0, "s")):
        report(store, START + at, value, request, unit=unit(1), number=number)
    report(store, START + 6, 7.0, unit=unit(2))
    assert read(store, query())["a"] == Outcomes(Moments.of([4.0, 7.0]), units=2)
    # Once, too, where the inference is stored.
    put_inference(store, 1, Inference("r", START + 2, 10))
    assert read(store, query())["a"] == Outcomes(Moments.of([4.0, 7.0]), units=2)


def test_an_issued_id_counts_for_its_comparison_only(store: Store) -> None:
    put_exposure(store, 1, START, comparison=2)
    report(store, START + 1, 3.0, "r", unit=unit(1), number=number_comparison("e", 1))
    assert read(store, query(comparison=2))["a"].sample == Moments()


def test_late_outcomes_by_issued_ids_change_what_was_read(store: Store) -> None:
    summaries = Summaries(store, units=1)
    put_exposure(store, 1, START)
    put_exposure(store, 2, START + 1)
    later = START + 2 * SETTLE
    assert summaries.outcomes(query(), later)["a"].without == 2
    report(store, later + 1, 3.0, "r", unit=unit(1), number=number_comparison("e", 1))
    assert summaries.outcomes(query(), later + 2)["a"].sample == Moments.of([3.0])


def test_every_event_of_a_unit_counts_since_the_second_of_its_first_exposure(store: Store) -> None:
    put_exposure(store, 1, START + SECOND - 1)
    for at, value in ((START - 1, 100.0), (START, 2.0), (START + SECOND, 4.0)):
        report(store, at, value, unit=unit(1))
    assert read(store, query())["a"] == Outcomes(Moments.of([3.0]), units=1, early=1)


@pytest.mark.parametrize(("per_unit", "values"), [("mean", [2.0, 4.0]), ("sum", [4.0, 4.0])])
def test_the_outcomes_of_a_unit_become_one_value(store: Store, per_unit: str, values: list[float]) -> None:
    for at, (number, value) in enumerate(((1, 1.0), (1, 3.0), (2, 4.0))):
        put_exposure(store, number, START)
        report(store, START + at, value, unit=unit(number))
    assert read(store, query(per_unit=per_unit))["a"].sample == Moments.of(values)
    reported = Summaries(store).reported(query(per_unit=per_unit), START)
    assert reported == Moments.of(values)
    histogram = read(store, query("quantile", per_unit=per_unit))["a"].sample
    assert isinstance(histogram, LogHistogram)
    assert histogram.quantile(0.0) == pytest.approx(min(values), rel=0.02)


def test_only_units_with_closed_windows_count(store: Store) -> None:
    put_exposure(store, 1, START)
    put_exposure(store, 2, START + 5)
    for number in (1, 2):
        report(store, START + 6 + number, 1.0, unit=unit(number))
    for now, units, still_open in ((START + 9, 0, 2), (START + 10, 1, 1), (START + 15, 2, 0)):
        read_now = read(store, query("binary", window=10), now)["a"]
        assert read_now.sample == Counts(float(units), float(units))
        assert (read_now.units, read_now.open_units) == (2, still_open)


def test_an_outcome_after_the_window_does_not_count(store: Store) -> None:
    put_exposure(store, 1, START)
    put_inference(store, 1, Inference("r", START, 10))
    report(store, START + 10, 1.0, "r")
    report(store, START + 11, 1.0, unit=unit(1))
    assert read(store, query(window=10))["a"] == Outcomes(Moments(), units=1, without=1)


def test_units_without_an_outcome_are_left_out_or_count_as_zero(store: Store) -> None:
    for number in (1, 2):
        put_exposure(store, number, START)
    report(store, START, 4.0, unit=unit(1))
    assert read(store, query())["a"] == Outcomes(Moments.of([4.0]), units=2, without=1)
    assert read(store, query(is_absent_zero=True))["a"] == Outcomes(Moments.of([0.0, 4.0]), units=2)
    assert read(store, query("binary", is_absent_zero=True))["a"].sample == Counts(2.0, 1.0)


def test_a_ratio_is_of_two_sums_of_each_unit(store: Store) -> None:
    for number in (1, 2, 3):
        put_exposure(store, number, START)
    for place, (number, metric, value) in enumerate(
        [(1, "m", 2.0), (1, "m", 1.0), (1, "n", 5.0), (2, "n", 7.0), (3, "m", 9.0)]
    ):
        report(store, START + place, value, unit=unit(number), metric=metric)
    expected = Outcomes(PairMoments.of([3.0, 0.0], [5.0, 7.0]), units=3, without=1)
    assert read(store, query("ratio", denominator="n"))["a"] == expected


def test_the_covariate_is_the_first_score_of_the_control(store: Store) -> None:
    put_exposure(store, 1, START, variant="b")
    put_exposure(store, 2, START)
    for at, variant, score, is_shadow in (
        (START + 3, "a", 0.9, True),
        (START + 2, "a", 0.5, True),
        (START + 1, "b", 0.1, False),
    ):
        answer = Inference(f"{at}", at, 10, confidence=score, is_shadow=is_shadow)
        put_inference(store, 1, answer, variant=variant)
    for number in (1, 2):
        report(store, START + 9 + number, float(number), unit=unit(number))
    read_now = read(store, query(covariate="a"))
    assert read_now["b"] == Outcomes(PairMoments.of([1.0], [0.5]), units=1)
    assert read_now["a"] == Outcomes(PairMoments(), units=1, without=1)


def test_a_label_of_a_mirrored_request_counts_once(store: Store) -> None:
    put_exposure(store, 1, START)
    put_inference(store, 1, Inference("r", START, 10))
    put_inference(store, 1, Inference("r", START, 10, is_shadow=True), variant="b")
    report(store, START + 1, 2.0, "r")
    assert read(store, query("ratio", denominator="m"))["a"].sample == PairMoments.of([2.0], [2.0])


def test_other_comparisons_and_experiments_do_not_count(store: Store) -> None:
    for changes in ({"comparison": 2}, {"experiment": "f"}):
        put_exposure(store, 1, START, **changes)
        put_inference(store, 1, Inference("r", START, 10), **changes)
    report(store, START, 1.0, "r")
    assert read(store, query()) == {}
    assert read(store, query(experiment="f"))["a"].sample == Moments.of([1.0])


def test_requests_are_counted_by_variant_and_shadow(store: Store) -> None:
    answers = [
        Inference("1", START, 100, top1=3, confidence=0.5),
        Inference("2", START, 200, top1=3, has_nan=True),
        Inference("3", START, 900, status=7),
        Inference("4", START, 300, is_shadow=True),
    ]
    for number, answer in enumerate(answers):
        put_inference(store, number, answer)
    requests = Summaries(store).requests("e", 1, START)
    seen = requests[Answers("a", False)]
    assert (seen.errors.counts, seen.nans.counts) == (Counts(3.0, 1.0), Counts(2.0, 1.0))
    assert seen.top1 == {3: 2}
    assert _same(seen.latency, LogHistogram.of([100, 200]))
    assert requests[Answers("a", True)].errors.counts == Counts(1.0, 0.0)


def test_a_unit_that_fails_again_and_again_counts_once(store: Store) -> None:
    for number in range(12):
        put_inference(
            store, number % 4, Inference(f"{number}", START + number, 1, status=7 * (number % 4 < 2))
        )
    summaries = Summaries(store, requests=3)
    seen = summaries.requests("e", 1, START + 2 * SETTLE)[Answers("a", False)]
    assert len(seen.errors.with_event) == seen.errors.counts.events == 2
    assert seen.errors.counts.units >= 4
    again = summaries.requests("e", 1, START + 2 * SETTLE)[Answers("a", False)]
    assert again.errors == seen.errors


def test_units_with_an_event_are_kept_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.experiments.store.aggregates.MAX_EVENTS", 3)
    merged = UnitEvents(4, frozenset({1, 2})).merge(UnitEvents(4, frozenset({2, 3, 4})))
    assert merged.counts == Counts(8.0, 3.0)


def _same(first: LogHistogram, second: LogHistogram) -> bool:
    return first.first == second.first and np.array_equal(first.counts, second.counts)


def test_classes_are_counted_in_bounded_memory(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.experiments.store.aggregates.MAX_CLASSES", 2)
    for number in range(6):
        put_inference(store, number, Inference(f"{number}", START + number, 1, top1=number % 4))
    summaries = Summaries(store, requests=2)
    assert summaries.requests("e", 1, START + 2 * SETTLE)[Answers("a", False)].top1 == {0: 2, 1: 2, -1: 2}


def test_pairs_hold_agreement_scores_and_who_was_right(store: Store) -> None:
    answers = [(1, 1, 1.0), (1, 2, 1.0), (1, 2, 2.0), (1, 2, None), (None, 2, 2.0)]
    for number, (control, candidate, label) in enumerate(answers):
        put_inference(store, 1, Inference(f"{number}", START, 1, top1=control, confidence=0.5))
        shadow = Inference(f"{number}", START, 1, top1=candidate, confidence=0.75, is_shadow=True)
        put_inference(store, 1, shadow, variant="b")
        if label is not None:
            report(store, START + number, label, f"{number}")
    put_inference(store, 1, Inference("alone", START, 1, is_shadow=True), variant="b")
    known = {"only_control": 1, "only_candidate": 1, "labelled": 3, "answered": 6}
    expected = Pairs(Counts(4.0, 1.0), Moments.of([0.25] * 5), **known)
    assert Summaries(store).pairs(Pairing("e", 1, "a", "m"), START) == {"b": expected}


def test_labels_that_come_late_are_counted_at_the_next_look(store: Store) -> None:
    for number in range(6):
        put_inference(store, 1, Inference(f"{number}", START, 1, top1=1))
        put_inference(store, 1, Inference(f"{number}", START, 1, top1=2, is_shadow=True), variant="b")
    summaries, pairing = Summaries(store, requests=2), Pairing("e", 1, "a", "m")
    later = START + 10 * SETTLE
    assert summaries.pairs(pairing, later)["b"].labelled == 0
    report(store, later, 2.0, "3")
    after = summaries.pairs(pairing, later + 1)["b"]
    assert (after.labelled, after.only_candidate) == (1, 1)


def test_units_that_switched_are_counted(store: Store) -> None:
    for number, variant in ((1, "a"), (1, "b"), (2, "a"), (3, "b"), (3, "b")):
        put_exposure(store, number, START, variant=variant)
    summaries = Summaries(store)
    assert summaries.switched("e", 1) == 1
    assert summaries.exposed("e", 1, START) == {"a": 2, "b": 1}


def test_a_later_look_reads_only_what_changed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        put_exposure(store, number, START + number)
    summaries, now = Summaries(store, units=5), START + 2 * SETTLE
    slices = []
    compute = module._read_outcomes

    def count(connection: Any, asked: OutcomeQuery, start: int, end: int, at: int) -> Any:
        slices.append(start)
        return compute(connection, asked, start, end, at)

    monkeypatch.setattr(module, "_read_outcomes", count)
    summaries.outcomes(query(), now)
    assert len(slices) == 5
    report(store, now, 2.0, unit=unit(7))
    slices.clear()
    assert summaries.outcomes(query(), now + 1)["a"].sample == Moments.of([2.0])
    assert len(slices) == 2  # that of the unit, and the open end
    slices.clear()
    summaries.outcomes(query(), now + 3 * SETTLE)
    assert len(slices) == 2  # once more: its transaction may have ended after the look
    slices.clear()
    summaries.outcomes(query(), now + 4 * SETTLE)
    assert len(slices) == 1


def test_what_is_kept_of_an_experiment_can_be_forgotten(store: Store) -> None:
    put_exposure(store, 1, START)
    summaries = Summaries(store)
    summaries.exposed("e", 1, START)
    summaries.forget("e")
    assert summaries._kept == {}
    assert summaries.exposed("e", 1, START) == {"a": 1}


def test_sqlite_reads_only_rows_of_the_slice_or_of_what_changed(tmp_path: Path) -> None:
    """Without statistics of its tables SQLite may begin with the wrong one and read all of it."""
    store = open_store(tmp_path)
    pairing = Pairing("e", 1, "a", "m")
    asked = query("ratio", denominator="n", window=5)
    statements = [
        *(select_units(q, 1, 2, 9) for q in (asked, query(covariate="a"))),
        *(select_open_units(asked, 1, 2, 9), select_changes(asked, 5)),
        *(select_pairs(pairing, 1, 2), select_changed_pairs(pairing, 5), select_requests("e", 1, 1, 2)),
        *(select_exposed("e", 1, 1, 2), select_switched("e", 1)),
        *(count_requests("e", 1, 1, 2), select_news("e", 1, 1)),
    ]
    narrow = ("written_at>?", "received_at>?", "unit=?", "request_id=?", "switches>?")
    with store.read() as connection:
        for statement in statements:
            text = str(statement.compile(connection, compile_kwargs={"literal_binds": True}))
            for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"):
                if any(f" {table}" in step for table in ("exposures", "inferences", "outcomes", "control")):
                    assert any(part in step for part in narrow), step
    store.close()


def test_units_a_day_are_those_of_the_last_day_or_extrapolated(store: Store) -> None:
    summaries = Summaries(store)
    assert summaries.units_per_day("e", 1, 10**15) == 0
    for number in range(12):
        put_exposure(store, number, 10**15 + number * DAY // 4)
    assert summaries.units_per_day("e", 1, 10**15 + DAY // 2) == pytest.approx(4)
    assert summaries.units_per_day("e", 1, 10**15 + 3 * DAY) == 4
    assert summaries.units_per_day("e", 1, 10**15 + 9 * DAY) == 0
