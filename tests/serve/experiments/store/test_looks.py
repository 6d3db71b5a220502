"""Summaries, look after look, against sums that a few lines of Python make of the raw events."""

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import pytest

from serve.experiments.statistics.samples import Counts, Moments
from serve.experiments.store.aggregates import Outcomes
from serve.experiments.store.database import Store
from serve.experiments.store.outcome_queries import OutcomeQuery
from serve.experiments.store.records import Inference
from serve.experiments.store.summaries import Summaries
from tests.serve.experiments.store.outcome_reports import START, query, report
from tests.serve.experiments.store.rows import put_exposure, put_inference, unit

SECOND = 1_000_000


@dataclass
class Plain:
    """The same in plain Python, of all events."""

    exposed: dict[int, tuple[str, int]] = field(default_factory=dict)
    unit_of: dict[str, int] = field(default_factory=dict)
    events: list[tuple[int, float, str | None, int | None]] = field(default_factory=list)

    def values(self, window: int | None, now: int) -> dict[str, list[list[float]]]:
        """For each variant the counting outcomes of each unit whose window has closed."""
        of_unit: dict[int, list[float]] = defaultdict(list)
        last: dict[str, tuple[int, float]] = {}
        for at, value, request, number in self.events:
            who = self.unit_of.get(request, -1) if request else number or 0
            _, first = self.exposed.get(who, ("", 1 << 62))
            if at >= first + (window or 1 << 62) or first == 1 << 62:
                continue
            if request:
                last[request] = max(last.get(request, (0, 0.0)), (at, value))
            elif at >= first:
                of_unit[who].append(value)
        for request, (_, value) in last.items():
            of_unit[self.unit_of[request]].append(value)
        result: dict[str, list[list[float]]] = defaultdict(list)
        for number, (variant, first) in self.exposed.items():
            if window is None or first + window <= now:
                result[variant].append(of_unit[number])
        return result


def act(store: Store, plain: Plain, chance: random.Random, now: int) -> None:
    """One event at random: an exposure with an inference at once or later, or an outcome of anything."""
    number, request = chance.randrange(60), f"r{chance.randrange(80)}"
    what = chance.random()
    if what < 0.4:
        variant = plain.exposed.setdefault(number, (chance.choice("ab"), now))[0]
        put_exposure(store, number, now, variant=variant)
    elif what < 0.6 and number in plain.exposed:
        if request not in plain.unit_of:
            plain.unit_of[request] = number
        put_inference(store, number, Inference(request, now, 5), variant="a")
    else:
        value, by_request = float(chance.randrange(-2, 5)), chance.random() < 0.6
        target = (request, None) if by_request else (None, number)
        plain.events.append((now, value, *target))
        report(store, now, value, target[0], unit=None if by_request else unit(number))


@pytest.mark.slow
def test_look_after_look_says_what_a_fresh_count_says(store: Store) -> None:
    chance, plain, now = random.Random(1), Plain(), START
    summaries = Summaries(store, units=7)
    asked = [query("mean"), query("mean", window=150 * SECOND), query("binary", window=40 * SECOND)]
    for _ in range(40):
        for _ in range(chance.randrange(12)):
            now += chance.randrange(1, 3 * SECOND)
            act(store, plain, chance, now)
        now += chance.randrange(0, 40 * SECOND)
        for one in asked:
            values = plain.values(one.window, now)
            read_now = summaries.outcomes(one, now)
            assert {name: each.units for name, each in read_now.items()} == Counter(
                variant for variant, _ in plain.exposed.values()
            )
            for name, each in read_now.items():
                closed = [unit_values for unit_values in values[name] if unit_values]
                assert each.units - each.open_units == len(values[name])
                assert each.without == len(values[name]) - len(closed)
                _require_equal(one, each, closed)


def _require_equal(asked: OutcomeQuery, read_now: Outcomes, closed: list[list[float]]) -> None:
    if asked.kind == "binary":
        assert read_now.sample == Counts(float(len(closed)), float(sum(max(v) > 0 for v in closed)))
        return
    expected = Moments.of([sum(v) / len(v) for v in closed])
    assert isinstance(read_now.sample, Moments)
    assert (read_now.sample.units, read_now.sample.mean, read_now.sample.squares) == pytest.approx(
        (expected.units, expected.mean, expected.squares)
    )
