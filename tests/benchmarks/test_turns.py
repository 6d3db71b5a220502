"""Ratios within a round, whatever drifts between rounds."""

import time

import pytest

from benchmarks.turns import ratio, take_turns


def test_a_ratio_is_taken_within_each_round() -> None:
    times = {"fast": [1.0, 10.0, 100.0], "slow": [2.0, 20.0, 200.0]}
    assert ratio(times, "slow", "fast") == 2.0


def test_each_has_its_turn_in_every_round() -> None:
    times = take_turns({"short": lambda: time.sleep(0.001), "long": lambda: time.sleep(0.004)}, 3, 0.01)
    assert [len(turns) for turns in times.values()] == [3, 3]
    assert min(times["long"]) >= 0.004
    assert ratio(times, "long", "short") == pytest.approx(3.5, abs=2.0)
