from serve.cluster.scaling import Scaler, ScalingOptions

OPTIONS = ScalingOptions(least=1, most=4, in_flight=2.0, down_seconds=60.0)


def run(scaler: Scaler, in_flight: float, start: float, seconds: float) -> list[int]:
    """What is wanted at each half second."""
    return [scaler.decide(in_flight, start + step / 2) for step in range(int(2 * seconds))]


def test_more_in_flight_than_a_replica_should_have_wants_more_at_once() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    assert run(scaler, 6.0, 0.0, 1.0)[-1] == 3


def test_no_more_are_wanted_than_allowed_and_no_fewer() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    assert run(scaler, 1000.0, 0.0, 10.0)[-1] == 4
    assert run(scaler, 0.0, 10.0, 600.0)[-1] == 1
    assert Scaler(OPTIONS, 9, now=0.0).wanted == 4
    assert Scaler(OPTIONS, 0, now=0.0).wanted == 1


def test_the_least_that_a_replica_may_have_in_flight_wants_all_that_are_allowed() -> None:
    scaler = Scaler(ScalingOptions(least=1, most=4, in_flight=5e-324, down_seconds=60.0), 1, now=0.0)
    assert scaler.decide(1.0, 0.0) == 4


def test_a_burst_that_is_over_at_once_is_no_reason() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    run(scaler, 1.0, 0.0, 10.0)
    assert scaler.decide(8.0, 10.0) == 1
    assert run(scaler, 1.0, 10.5, 10.0)[-1] == 1


def test_one_after_the_other_goes_after_fewer_were_enough_for_long() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    run(scaler, 8.0, 0.0, 10.0)
    wanted = run(scaler, 1.0, 10.0, 200.0)
    first = wanted.index(3) / 2
    assert 60.0 <= first < 70.0
    assert 28.0 <= wanted.index(2) / 2 - first <= 32.0
    assert wanted[-1] == 1


def test_a_peak_within_the_time_keeps_the_replicas() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    for begin in range(0, 300, 50):
        run(scaler, 8.0, begin, 10.0)
        assert set(run(scaler, 0.0, begin + 10.0, 40.0)) == {4}


def test_a_load_at_the_limit_does_not_swing() -> None:
    scaler = Scaler(OPTIONS, 2, now=0.0)
    wanted = [scaler.decide(4.0 + (0.3 if step % 2 else -0.3), step / 2) for step in range(1000)]
    assert set(wanted) == {2}


def test_other_bounds_hold_at_once() -> None:
    scaler = Scaler(OPTIONS, 1, now=0.0)
    scaler.change(ScalingOptions(3, 5, 2.0, 60.0))
    assert scaler.decide(0.0, 1.0) == 3
