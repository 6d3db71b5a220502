import math
from collections.abc import Sequence

import pytest

from convert.precision.front.places import PlaceGroup, order_places, split, spread
from convert.precision.gate import Gate
from convert.precision.int8 import DynamicScheme
from convert.precision.sites import RoundingSite, find_sites
from tests.convert.precision.networks import (
    ROWS,
    as_own_samples,
    build_network,
    build_original,
    make_samples,
)
from tests.convert.tuning.machine import PlantedMachine


def _site(number: int) -> RoundingSite:
    return RoundingSite(f"layer {number}", "Relu", (), (f"conv {number}",), (), has_activation=True)


def _groups(*shares: tuple[float, float]) -> list[PlaceGroup]:
    return [PlaceGroup((_site(number),), *share) for number, share in enumerate(shares)]


def test_groups_are_ordered_by_benefit_per_harm() -> None:
    """The best saves time and error; the worst costs both."""
    shares = [(0.1, -0.1), (0.1, 0.0), (0.2, 0.1), (0.1, 0.1), (0.0, 0.1), (-0.1, 0.2), (-0.1, 0.1)]
    directions = [group.direction for group in _groups(*shares)]
    assert directions == sorted(directions, reverse=True)
    scaled = [PlaceGroup((), 1e3 * saved, 1e-3 * added).direction for saved, added in shares]
    assert scaled == sorted(scaled, reverse=True)


@pytest.mark.parametrize("sites", [1, 5, 64])
@pytest.mark.parametrize("count", [1, 3, 5])
def test_every_place_is_in_one_group(sites: int, count: int) -> None:
    places = [_site(number) for number in range(sites)]
    parts = split(places, min(count, sites))
    assert [site for part in parts for site in part] == places
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ([(0.0, 1.0)], []),
        ([(0.1, 0.1), (0.1, 0.1)], [1]),
        ([(0.1, 0.1)] * 12, [2, 4, 6, 8, 10]),
        ([(0.0, 0.0)] * 12, [2, 4, 6, 8, 10]),
        ([(-0.1, -0.1)] * 12, [2, 4, 6, 8, 10]),
        ([(0.5, 0.0), (0.5, 0.0), *[(0.0, 0.0)] * 8, (0.0, 0.5), (0.0, 0.5)], [1, 2, 6, 10, 11]),
    ],
)
def test_files_lie_at_equal_distances_along_the_front(
    shares: Sequence[tuple[float, float]], counts: list[int]
) -> None:
    assert spread(_groups(*shares), 5) == counts


def _order(machine: PlantedMachine, seconds: float) -> tuple[PlaceGroup, ...]:
    _, _, graph = build_network("rows")
    gate = Gate(build_original("rows"), as_own_samples(make_samples(ROWS, 40, 8)))
    scheme = DynamicScheme(graph, find_sites(graph, {}))
    return order_places(scheme, gate, machine, machine.now() + seconds, lambda *step: None)


def test_what_a_place_saves_and_adds_is_measured_in_the_whole_model() -> None:
    groups = _order(PlantedMachine([{"MatMulInteger": 0.01, "Gemm": 0.03, "MatMul": 0.03}]), 1e3)
    assert len(groups) == 3
    assert all(group.saved == pytest.approx(0.02 / 0.04) for group in groups)
    assert [group.added for group in groups] == sorted(group.added for group in groups)
    assert all(0 < group.added < 1 for group in groups)


def test_with_little_time_neighbours_go_together() -> None:
    machine = PlantedMachine()
    (group,) = _order(machine, 1e-6)
    assert len(group.sites) == 3
    assert len(machine.loaded) == 1
    assert math.isfinite(group.direction)
