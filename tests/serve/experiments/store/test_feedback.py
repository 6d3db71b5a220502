import multiprocessing
import threading
from dataclasses import replace
from typing import Any

import pytest

from serve.experiments.errors import FeedbackError, StoreError
from serve.experiments.store.database import Store, open_store
from serve.experiments.store.feedback import MAX_ITEMS, Feedback, Receipt, RefusedFeedback, accept, check
from serve.experiments.store.records import Inference
from serve.experiments.store.tables import outcomes
from tests.serve.experiments.store.rows import count_rows, put_inference, read_rows, unit

NOW = 1_800_000_000_000_000


def feedback(**changes: Any) -> Feedback:
    return Feedback(**{"metric": "correct", "value": 1.0, "request_id": "r", **changes})


def send(store: Store, *items: Feedback, at: int = NOW) -> Receipt:
    return replace(accept(store, items, clock=lambda: at), unmatched=0)


def test_an_outcome_is_stored_whole(store: Store) -> None:
    assert send(store, feedback(at=NOW - 5, idempotency_key="k")) == Receipt(new=1)
    assert send(store, feedback(request_id=None, unit=unit(1), value=-2)) == Receipt(new=1)
    names = ("metric", "value", "event_at", "received_at", "request_id", "unit")
    assert read_rows(store, outcomes, *names) == [
        ("correct", -2.0, NOW, NOW, None, unit(1)),
        ("correct", 1.0, NOW - 5, NOW, "r", None),
    ]


def test_a_replay_changes_nothing(store: Store) -> None:
    by_unit = feedback(unit=unit(1), request_id=None)
    items = (feedback(), feedback(idempotency_key="k"), feedback(at=NOW), by_unit)
    assert send(store, *items) == Receipt(new=4)
    before = read_rows(store, outcomes, "key", "event_at", "received_at")
    assert send(store, *items, *items, at=NOW + 1) == Receipt(duplicate=8)
    assert read_rows(store, outcomes, "key", "event_at", "received_at") == before


def test_duplicates_inside_one_call_are_stored_once(store: Store) -> None:
    assert send(store, feedback(), feedback(), feedback(value=0)) == Receipt(new=2, duplicate=1)


def test_a_key_that_stands_for_another_outcome_is_refused(store: Store) -> None:
    changes: list[dict[str, Any]] = [{"value": 0.0}, {"metric": "x"}, {"request_id": "s"}, {"at": NOW - 1}]
    items = [feedback(idempotency_key="k", **change) for change in ({}, *changes)]
    refused = tuple(RefusedFeedback(n, "the idempotency key stands for another outcome") for n in range(1, 5))
    assert send(store, *items) == Receipt(new=1, refused=refused)
    assert send(store, *items) == Receipt(duplicate=1, refused=refused)


def test_a_key_is_not_mistaken_for_the_content_of_another_outcome(store: Store) -> None:
    plain = feedback(request_id="x")
    forged = f"is {'x'!r} {None!r} correct {(1.0).hex()} None"
    assert send(store, plain, feedback(request_id="y", idempotency_key=forged)).new == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"request_id": None}, "a request id or a unit"),
        ({"unit": unit(1)}, "one of them"),
        ({"request_id": ""}, "1 to 200 characters"),
        ({"request_id": "x" * 201}, "1 to 200 characters"),
        ({"request_id": "a\0"}, "printable request id"),
        ({"request_id": "\udc80"}, "printable request id"),
        ({"request_id": 7}, "printable request id"),
        ({"request_id": None, "unit": b"short"}, "16 bytes, got 5"),
        ({"metric": ""}, "metric's name"),
        ({"metric": "a" * 65}, "metric's name"),
        ({"metric": "a b"}, "metric's name"),
        ({"metric": "correct\n"}, "metric's name"),
        ({"metric": None}, "metric's name"),
        ({"value": float("nan")}, "a number between"),
        ({"value": float("inf")}, "a number between"),
        ({"value": -1.1e15}, "a number between"),
        ({"value": 10**400}, "a number between"),
        ({"value": "1"}, "a number between"),
        ({"value": None}, "a number between"),
        ({"at": NOW + 301_000_000}, "301 s ahead"),
        ({"at": 10**300}, "s ahead"),
        ({"at": 1_800_000_000}, "after the year 2000"),
        ({"at": -1}, "after the year 2000"),
        ({"at": 1.5e15}, "after the year 2000"),
        ({"idempotency_key": ""}, "idempotency key"),
        ({"idempotency_key": "k" * 201}, "idempotency key"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FeedbackError) as caught:
        check(feedback(**changes), NOW)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_refusal_does_not_keep_others_from_being_stored(store: Store) -> None:
    receipt = send(store, feedback(request_id="a"), feedback(value="1"), feedback(request_id="b"))
    assert receipt.new == 2
    assert [refusal.place for refusal in receipt.refused] == [1]
    assert "a number between" in receipt.refused[0].reason


def test_values_and_times_at_their_limits_are_accepted(store: Store) -> None:
    assert send(store, feedback(value=1e15, at=NOW + 299_000_000), feedback(value=True)).new == 2


def test_too_many_at_once_are_refused_before_any_is_stored(store: Store) -> None:
    with pytest.raises(FeedbackError, match="at most 10000 outcomes at once, got 10001"):
        accept(store, [feedback()] * (MAX_ITEMS + 1))
    assert count_rows(store, outcomes) == 0


def test_nothing_at_all_is_fine(store: Store) -> None:
    assert send(store) == Receipt()


def test_more_than_one_transaction_is_stored_whole(store: Store) -> None:
    items = [feedback(request_id=f"{n}") for n in range(2500)]
    assert send(store, *items) == Receipt(new=2500)
    assert send(store, *items) == Receipt(duplicate=2500)


def test_a_failure_is_raised_and_sending_again_completes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [feedback(request_id=f"{n}") for n in range(1500)]
    begin, calls = store.write, []

    def fail_at_the_second() -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise StoreError("full")
        return begin()

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", fail_at_the_second)
        with pytest.raises(StoreError):
            send(store, *items)
    assert send(store, *items) == Receipt(new=500, duplicate=1000)


def _send_all(where: str, results: "multiprocessing.Queue[int]") -> None:
    store = open_store(where)
    new = 0
    for start in range(0, 400, 20):
        new += send(store, *(feedback(request_id=f"{n}") for n in range(start, start + 40))).new
    results.put(new)
    store.close()


def test_processes_that_send_the_same_at_once_store_it_once(store: Store, where: str) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[int] = context.Queue()
    processes = [context.Process(target=_send_all, args=(where, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert sum(results.get(timeout=120) for _ in processes) == 420
    for process in processes:
        process.join()
    assert count_rows(store, outcomes) == 420


def test_threads_share_a_store(store: Store) -> None:
    def work(start: int) -> None:
        for n in range(start, start + 10):
            send(store, feedback(request_id=f"{n}"))

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_rows(store, outcomes) == 40


def test_outcomes_of_requests_of_which_nothing_is_known_are_counted(store: Store) -> None:
    put_inference(store, 1, Inference("known", NOW, 5))
    issued = feedback(request_id="issued", unit=unit(1), number=7)
    by_unit = feedback(request_id=None, unit=unit(2))
    unknown = [feedback(request_id="unknown"), feedback(request_id="unknown", value=2.0)]
    receipt = accept(store, [feedback(request_id="known"), issued, by_unit, *unknown], clock=lambda: NOW)
    assert (receipt.new, receipt.unmatched) == (5, 2)
    # They may become known; and a report that is not stored counts nowhere.
    conflicting = feedback(request_id="other", idempotency_key="k")
    assert accept(store, [feedback(idempotency_key="k"), conflicting], clock=lambda: NOW).unmatched == 1
    put_inference(store, 1, Inference("unknown", NOW, 5))
    again = accept(store, unknown, clock=lambda: NOW)
    assert (again.duplicate, again.unmatched) == (2, 0)


def test_an_outcome_is_received_once_it_has_the_lock_it_waited_for(store: Store) -> None:
    times = iter((NOW, NOW + 70_000_000))
    assert accept(store, [feedback()], clock=lambda: next(times)).new == 1
    assert read_rows(store, outcomes, "event_at", "received_at") == [(NOW, NOW + 70_000_000)]
