import math
from dataclasses import replace

import pytest

from convert.tuning.timing import (
    FEWEST_ROUNDS,
    HOPELESS_ROUNDS,
    LEAST_NOISE,
    MOST_ROUNDS,
    Limits,
    Target,
    compare_times,
    measure_noise,
)
from tests.convert.graphs import parse_graph, write_graph
from tests.convert.models import IMAGES
from tests.convert.tuning.machine import BASE_SECONDS, PlantedMachine

RELU, TANH = parse_graph(write_graph("y = Relu(x)")), parse_graph(write_graph("y = Tanh(x)"))


def make_machine(difference: float, noise: float = 0.0, batches: int = 1) -> PlantedMachine:
    """A Tanh takes so much of the whole time more than a Relu."""
    return PlantedMachine([{"Tanh": BASE_SECONDS * difference}] * batches, noise=noise)


@pytest.mark.parametrize(
    ("difference", "wins"), [(-0.05, True), (-0.001, False), (0.0, False), (0.05, False)]
)
def test_only_a_gain_beyond_the_noise_wins(difference: float, wins: bool) -> None:
    machine = make_machine(difference)
    comparison = compare_times(machine, machine.load(RELU), machine.load(TANH), LEAST_NOISE, Limits())
    assert comparison.is_win == wins
    assert comparison.overall.middle == pytest.approx(math.log(1 + difference))
    assert comparison.base_seconds == (BASE_SECONDS,)


def test_a_clear_case_ends_early_and_an_open_one_with_all_rounds() -> None:
    for difference, rounds in ((-0.1, FEWEST_ROUNDS), (0.1, HOPELESS_ROUNDS), (0.0, MOST_ROUNDS)):
        machine = make_machine(difference)
        comparison = compare_times(machine, machine.load(RELU), machine.load(TANH), LEAST_NOISE, Limits())
        assert comparison.rounds == rounds


def test_equal_files_hardly_ever_win_however_noisy_the_machine() -> None:
    won = 0
    machine = make_machine(0.0, noise=0.05)
    for _ in range(200):
        won += compare_times(machine, machine.load(RELU), machine.load(TANH), LEAST_NOISE, Limits()).is_win
    assert won <= 10


def test_a_candidate_slower_for_one_batch_does_not_win() -> None:
    machine = PlantedMachine([{"Tanh": -0.004}, {"Tanh": 0.001}])
    comparison = compare_times(machine, machine.load(RELU), machine.load(TANH), LEAST_NOISE, Limits())
    assert comparison.overall.is_faster
    assert not comparison.is_win


def test_it_stops_at_its_time_and_too_few_rounds_never_win() -> None:
    machine = make_machine(-0.5)
    base, candidate = machine.load(RELU), machine.load(TANH)
    until = machine.now() + 3 * 1.5 * BASE_SECONDS
    comparison = compare_times(machine, base, candidate, LEAST_NOISE, Limits(until=until))
    assert comparison.rounds == 3 < FEWEST_ROUNDS
    assert not comparison.is_win
    assert machine.now() < until + 2 * BASE_SECONDS
    assert not compare_times(machine, base, candidate, LEAST_NOISE, Limits(until=until)).rounds


def test_a_noisy_machine_has_more_noise() -> None:
    quiet, _ = measure_noise(make_machine(0.0), RELU, math.inf)
    loud, comparison = measure_noise(make_machine(0.0, noise=0.1), RELU, math.inf)
    assert quiet == LEAST_NOISE
    assert loud > 0.02
    assert comparison.rounds == MOST_ROUNDS


def test_this_machine_times_every_batch() -> None:
    target = Target([replace(IMAGES, name="x")], "cpu", 1, (1, 64))
    single, many = target.load(
        parse_graph(write_graph("y = Softplus(x)", x="float[N,3,8,8]", y="float[N,3,8,8]"))
    )()
    assert 0 < single < many


def test_a_clock_that_stood_still_is_not_taken() -> None:
    target = Target([replace(IMAGES, name="x")], "cpu", 1, (1,))
    target._clock = lambda: 0.0
    graph = parse_graph(write_graph("y = Relu(x)", x="float[N,3,8,8]", y="float[N,3,8,8]"))
    assert target.load(graph)()[0] > 0
