import pytest

from serve.engine.run_cost import BLOCKING_SECONDS, HOP_SECONDS, RunCost


def test_a_large_input_makes_a_run_long() -> None:
    cost = RunCost(seconds_per_element=HOP_SECONDS / 10)
    assert cost.is_short(9)
    assert not cost.is_short(11)


@pytest.mark.parametrize("seconds", [BLOCKING_SECONDS / 2, 10 * BLOCKING_SECONDS])
def test_one_interrupted_run_changes_nothing(seconds: float) -> None:
    cost = RunCost(seconds_per_element=HOP_SECONDS / 10)
    cost.observe(1, seconds)
    assert cost.is_short(1)


def test_two_blocking_runs_leave_the_event_loop_for_long() -> None:
    cost = RunCost(seconds_per_element=HOP_SECONDS / 10)
    for _ in range(2):
        cost.observe(1, seconds=3.0)
    for _ in range(20):
        assert not cost.is_short(1)
        cost.observe(1, seconds=HOP_SECONDS / 10)
    for _ in range(100):
        cost.observe(1, seconds=HOP_SECONDS / 10)
    assert cost.is_short(1)


def test_joined_runs_can_only_lower_the_cost() -> None:
    cost = RunCost(seconds_per_element=HOP_SECONDS / 10)
    for _ in range(100):
        cost.observe_joined(1, seconds=HOP_SECONDS * 2)
    assert cost.is_short(1)
    for _ in range(2):
        cost.observe(1, seconds=1.0)
    for _ in range(100):
        cost.observe_joined(1, seconds=HOP_SECONDS / 2)
    assert cost.is_short(1)


def test_slow_runs_leave_the_event_loop_until_they_are_short() -> None:
    cost = RunCost(seconds_per_element=HOP_SECONDS / 10)
    for _ in range(20):
        cost.observe(1, seconds=BLOCKING_SECONDS / 2)
    assert not cost.is_short(1)
    for _ in range(200):
        cost.observe(1, seconds=HOP_SECONDS / 10)
    assert cost.is_short(1)


def test_only_a_model_that_held_up_the_loop_leaves_it() -> None:
    cost = RunCost(1e-9)
    assert not cost.leave_loop(1, BLOCKING_SECONDS / 2)
    assert cost.is_short(1)
    assert cost.leave_loop(1, BLOCKING_SECONDS)
    assert not cost.is_short(1)
