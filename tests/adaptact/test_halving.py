from collections.abc import Callable, Sequence

import pytest

from adaptact.halving import MOST_ROUNDS, STAGE_ROUNDS, UNSURE_ROUNDS, HalvingResult, find_fastest, time_turn


class Machine:
    """A clock, and turns that take so many seconds of it for each batch."""

    def __init__(self) -> None:
        self.time = 0.0
        self.order: list[int] = []

    def now(self) -> float:
        return self.time

    def turn(self, place: int, *rounds: Sequence[float]) -> Callable[[], Sequence[float]]:
        """The seconds of the rounds, over and over."""
        taken = 0

        def take() -> Sequence[float]:
            nonlocal taken
            seconds = rounds[taken % len(rounds)]
            taken += 1
            self.order.append(place)
            self.time += sum(seconds)
            return seconds

        return take


def choose(
    *candidates: Sequence[Sequence[float]], until: float = 1e9, latest: float | None = None
) -> HalvingResult:
    machine = Machine()
    turns = [machine.turn(place, *rounds) for place, rounds in enumerate(candidates)]
    return find_fastest(turns, machine.now, until, latest)


@pytest.mark.parametrize(("seconds", "chosen"), [(0.9, 1), (0.98, 1), (0.995, 0), (1.0, 0), (1.1, 0)])
def test_the_first_stays_unless_another_is_clearly_faster(seconds: float, chosen: int) -> None:
    result = choose([[1.0]], [[seconds]])
    assert result.chosen == chosen
    assert result.timings[1].ratio == pytest.approx(seconds)


def test_what_is_slower_with_one_batch_is_not_taken() -> None:
    result = choose([[1.0, 8.0]], [[1.1, 4.0]])
    assert result.timings[1].ratio < 0.8
    assert result.timings[1].worst == pytest.approx(1.1)
    assert result.chosen == 0


def test_a_gain_in_half_of_the_rounds_is_noise() -> None:
    assert choose([[1.0]], [[0.5], [1.05]]).chosen == 0


def test_one_slow_round_changes_nothing() -> None:
    assert choose([[1.0]], [[0.8], [0.8], [9.0], [0.8], [0.8]]).chosen == 1


def test_the_slower_half_is_left_out_and_the_first_never() -> None:
    result = choose([[1.0]], [[0.9]], [[2.0]], [[0.7]], [[3.0]])
    assert result.chosen == 3
    rounds = [timing.rounds for timing in result.timings]
    assert rounds[2] == rounds[4] == STAGE_ROUNDS
    assert rounds[1] == 2 * STAGE_ROUNDS
    assert rounds[0] == rounds[3] <= MOST_ROUNDS


def test_a_round_that_is_not_complete_does_not_count() -> None:
    result = choose([[1.0]], [[0.5]], until=5.0)
    assert [timing.rounds for timing in result.timings] == [3, 3]
    assert result.chosen == 1


def test_too_few_rounds_choose_the_first() -> None:
    assert choose([[1.0]], [[0.5]], until=2.0).chosen == 0
    assert choose([[1.0]], [[0.5]], until=0.0).timings[1].seconds == ()


@pytest.mark.parametrize(
    ("seconds", "latest", "rounds"),
    [
        (0.97, 20.0, 10),  # close: to the latest end
        (0.97, None, 4),
        (0.8, 20.0, 4),  # not close
        (9.0, 20.0, 2),  # the first rounds are waited for, and no longer
        (3.0, 20.0, 3),
    ],
)
def test_time_is_added_where_two_are_close_or_runs_are_long(
    seconds: float, latest: float | None, rounds: int
) -> None:
    result = choose([[1.0]], [[seconds]], until=8.0, latest=latest)
    assert [timing.rounds for timing in result.timings] == [rounds, rounds]


def test_close_ones_are_decided_by_more_rounds() -> None:
    """The first rounds say that the other is slower; later ones do not."""
    noisy = [[1.04], [1.03], [1.02], *[[0.96]] * 12]
    assert choose([[1.0]], noisy, until=6.5).chosen == 0
    assert choose([[1.0]], noisy, until=6.5, latest=40.0).chosen == 1


def test_a_small_gain_in_most_of_many_rounds_is_one() -> None:
    """It is faster in two rounds of three: 10 of 15 may be chance, 40 of 60 hardly."""
    noisy = [[0.93], [0.93], [1.02]]
    few, many = (choose([[1.0]], noisy, until=until) for until in (30.0, 1e9))
    assert (few.chosen, few.timings[1].rounds) == (0, MOST_ROUNDS)
    assert many.chosen == 1
    assert many.timings[1].rounds == UNSURE_ROUNDS


def test_what_never_becomes_clear_ends() -> None:
    result = choose([[1.0]], [[0.9], [0.9], [1.02], [1.02], [0.98]])
    assert (result.chosen, result.timings[1].rounds) == (0, UNSURE_ROUNDS)


def test_a_gain_among_more_rounds_ends_them_no_earlier() -> None:
    """After 16 rounds it would be clear, and after all of them it is none."""
    lucky = [[0.9], [0.9], [1.02]] * 5 + [[0.9]] + [[0.9], [1.02]] * 22
    result = choose([[1.0]], lucky)
    assert (result.chosen, result.timings[1].rounds) == (0, UNSURE_ROUNDS)


@pytest.mark.parametrize("batches", [(1.1, 4.0), (0.998, 7.98)])
def test_what_more_rounds_cannot_help_takes_none(batches: tuple[float, float]) -> None:
    """It loses too much with one batch; it gains less than counts."""
    result = choose([[1.0, 8.0]], [batches])
    assert (result.chosen, result.timings[1].rounds <= MOST_ROUNDS) == (0, True)


def test_rounds_go_back_and_forth() -> None:
    machine = Machine()
    find_fastest([machine.turn(0, [1.0]), machine.turn(1, [1.0])], machine.now, 4.0)
    assert machine.order == [0, 1, 1, 0]


def test_a_long_run_of_one_thread_is_timed_by_the_processor() -> None:
    """Others have the core for two of its three seconds."""
    times = {"wall": 0.0, "processor": 0.0}

    def run(seconds: float) -> None:
        times["wall"] += 3 * seconds
        times["processor"] += seconds

    clocks = (lambda: times["wall"]), (lambda: times["processor"])
    assert time_turn(lambda: run(1.0), *clocks) == 1.0
    assert time_turn(lambda: run(1.0), clocks[0], None) == 3.0
    assert time_turn(lambda: run(0.0005), *clocks) == pytest.approx(0.0015)


def test_a_clock_that_stood_still_says_nothing() -> None:
    times = [0.0]

    def run() -> None:
        times[0] += 0.004

    assert time_turn(run, lambda: times[0], lambda: 0.0) == pytest.approx(0.004)
