from serve.engine.cost import BLOCKING_SECONDS, HOP_SECONDS, Cost


def test_a_run_is_short_until_its_size_makes_it_longer_than_a_hop() -> None:
    cost = Cost(seconds_per_element=HOP_SECONDS / 10)
    assert cost.is_short(9)
    assert not cost.is_short(11)


def test_one_interrupted_run_changes_nothing() -> None:
    cost = Cost(seconds_per_element=HOP_SECONDS / 10)
    cost.observe(1, seconds=BLOCKING_SECONDS / 2)
    assert cost.is_short(1)


def test_one_run_that_held_up_everybody_leaves_the_event_loop_until_many_were_short() -> None:
    cost = Cost(seconds_per_element=HOP_SECONDS / 10)
    cost.observe(1, seconds=3.0)
    for _ in range(20):
        assert not cost.is_short(1)
        cost.observe(1, seconds=HOP_SECONDS / 10)
    for _ in range(100):
        cost.observe(1, seconds=HOP_SECONDS / 10)
    assert cost.is_short(1)


def test_runs_that_requests_share_bring_a_model_back_but_never_away() -> None:
    cost = Cost(seconds_per_element=HOP_SECONDS / 10)
    for _ in range(100):
        cost.observe_joined(1, seconds=HOP_SECONDS * 2)
    assert cost.is_short(1)
    cost.observe(1, seconds=1.0)
    for _ in range(100):
        cost.observe_joined(1, seconds=HOP_SECONDS / 2)
    assert cost.is_short(1)


def test_runs_that_prove_slow_leave_the_event_loop_and_come_back_once_short_again() -> None:
    cost = Cost(seconds_per_element=HOP_SECONDS / 10)
    for _ in range(20):
        cost.observe(1, seconds=BLOCKING_SECONDS / 2)
    assert not cost.is_short(1)
    for _ in range(200):
        cost.observe(1, seconds=HOP_SECONDS / 10)
    assert cost.is_short(1)
