import pytest

from serve.rest.pacing import FIRST_SECONDS, GROWTH, MAX_SECONDS, LateRefusals, RefusalPace

RETRY_SECONDS = 1.0


def test_who_comes_back_too_soon_is_refused_later_each_time() -> None:
    pace = RefusalPace(LateRefusals(connections=1000))
    now, delays = 0.0, []
    for _ in range(5):
        delays.append(pace.delay(now, RETRY_SECONDS))
        now += delays[-1]
    assert delays == [0, FIRST_SECONDS, GROWTH * FIRST_SECONDS, MAX_SECONDS, MAX_SECONDS]


def test_who_waits_as_long_as_told_is_never_refused_late() -> None:
    pace = RefusalPace(LateRefusals(connections=1000))
    delays = [pace.delay(now, RETRY_SECONDS) for now in (0.0, 1.0, 2.0)]
    assert delays == [0, 0, 0]
    assert [pace.delay(2.5, RETRY_SECONDS), pace.delay(5.0, RETRY_SECONDS)] == [FIRST_SECONDS, 0]


def test_who_cannot_succeed_by_waiting_is_not_slowed() -> None:
    pace = RefusalPace(LateRefusals(connections=1000))
    assert [pace.delay(0.0, 0.0) for _ in range(3)] == [0, 0, 0]


def test_late_refusals_never_take_all_connections() -> None:
    late = LateRefusals(connections=100)
    longest = []
    for late.count in (0, 50, 75, 100, 120):
        longest.append(late.max_seconds)
    assert longest == pytest.approx([MAX_SECONDS, MAX_SECONDS, MAX_SECONDS / 2, 0, 0])
