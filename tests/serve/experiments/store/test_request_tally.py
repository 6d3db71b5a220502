"""Inferences summed up look after look, against sums that a few lines of Python make of all of them."""

import random
from collections import Counter, defaultdict
from typing import Any

import pytest

from serve.experiments.store import request_tally as module
from serve.experiments.store.aggregates import Answers
from serve.experiments.store.database import Store
from serve.experiments.store.records import Inference
from serve.experiments.store.request_tally import CHECK, RequestTally
from serve.experiments.store.slices import SETTLE
from tests.serve.experiments.store.outcome_reports import START
from tests.serve.experiments.store.rows import put_inference

SECOND = 1_000_000


def check(tally: RequestTally, store: Store, now: int, known: list[tuple[int, str, Inference]]) -> None:
    """The tally is that of all inferences, but that a unit may count once for each part."""
    groups: dict[Answers, list[tuple[int, Inference]]] = defaultdict(list)
    for number, variant, inference in known:
        groups[Answers(variant, inference.is_shadow)].append((number, inference))
    tally.update(store, now)
    assert tally.count == len(known)
    tallied = tally.read()
    assert tallied.keys() == groups.keys()
    for answers, requests in tallied.items():
        group = groups[answers]
        failed = {number for number, each in group if each.status}
        count = sum(not each.status for _, each in group)
        assert requests.errors.with_event == failed
        assert len({number for number, _ in group}) <= requests.errors.units <= len(group)
        assert requests.nans.with_event == {number for number, each in group if each.has_nan}
        assert len({number for number, each in group if not each.status}) <= requests.latency.units <= count
        assert requests.top1 == +Counter({3: int(requests.latency.units)})


@pytest.mark.parametrize("seed", range(3))
def test_look_after_look_is_what_all_inferences_say_also_those_that_come_late(
    store: Store, seed: int
) -> None:
    chance, now = random.Random(seed), START
    known: list[tuple[int, str, Inference]] = []
    tally = RequestTally("e", 1, rows=7)
    for _ in range(25):
        for _ in range(chance.randrange(8)):
            now += chance.randrange(SECOND)
            at = now - chance.choice((0, 0, chance.randrange(SETTLE - 3 * CHECK)))
            status, has_nan = chance.choice((0, 0, 5)), chance.random() < 0.1
            about = Inference(f"{len(known)}", at, 100, status, has_nan, chance.random() < 0.3, 3)
            known.append((chance.randrange(9), chance.choice("ab"), about))
            put_inference(store, *known[-1][::2], variant=known[-1][1])
        now += CHECK
        check(tally, store, now, known)
    assert len(tally._parts) < 25


def test_an_inference_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    add = module._Part.add

    def count(part: Any, rows: Any) -> None:
        read.append(len(rows))
        add(part, rows)

    monkeypatch.setattr(module._Part, "add", count)
    tally = RequestTally("e", 1, rows=5)
    for number in range(12):
        put_inference(store, number, Inference(f"{number}", START + number, 1))
    tally.update(store, START + 20)
    assert read == [5, 5, 2]
    put_inference(store, 12, Inference("12", START + 30, 1))
    for seconds in range(0, 200, 5):
        tally.update(store, START + 40 + seconds * SECOND)
    assert sum(read) == 13
    # Only sums are left of parts that are over.
    assert len(tally._parts) == 1
    assert not tally._recent


def test_inferences_that_were_written_together_are_not_torn_apart(store: Store) -> None:
    tally = RequestTally("e", 1, rows=5)
    for number in range(18):
        put_inference(store, number, Inference(f"{number}", START + (number > 2) + (number > 14), 1))
    tally.update(store, START + SECOND)
    assert tally.count == 18
    assert [part.rows for part in tally._parts] == [15, 3]
