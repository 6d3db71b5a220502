"""What rounding each place brings: the time that it saves in the whole model, and the error that it adds."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from convert.artefact.stored_graph import open_graph
from convert.precision.gate import Gate, LossReport
from convert.precision.keep import OnStep
from convert.precision.sites import RoundingSite, Scheme
from convert.tuning.timing import LEAST_NOISE, Limits, Machine, compare_times

ROUNDS = 7
"""Turns of each place: they only put the places in order, and files are timed anew."""
SHARE = 0.5
"""Of the time that is left, for the places; the rest is for the files."""


@dataclass(frozen=True, slots=True)
class PlaceGroup:
    """Neighbouring places that are rounded together, and what that brings, all others being rounded."""

    sites: tuple[RoundingSite, ...]
    saved: float
    """As a share of the time of the graph that is rounded everywhere; below 0 where it costs time."""
    added: float
    """The share of the squared error of that graph; below 0 where its own error makes up for another's."""

    @property
    def direction(self) -> float:
        """By which groups are ordered: the angle of benefit over harm, the same in all units of both."""
        return math.atan2(self.saved, self.added)


def order_places(
    scheme: Scheme, gate: Gate, machine: Machine, until: float, on_step: OnStep
) -> tuple[PlaceGroup, ...]:
    """All places in groups, the one that saves most time for the error that it adds first.

    A group is one place where the time allows for that, else so many neighbouring ones that it is enough.
    """
    start = machine.now()
    ranking = gate.make_ranking_gate()
    rounded = scheme.round(())
    error = measure_losses(rounded, ranking).mean_square
    turn = machine.load(rounded)
    limits = Limits(ROUNDS, early=False)
    compare_times(machine, turn, turn, LEAST_NOISE, limits)  # as a group does, to know how long that takes
    affordable = SHARE * (until - machine.now()) / max(machine.now() - start, 1e-9)
    count = min(max(int(affordable), 1), len(scheme.sites))
    if count == 1:
        return (PlaceGroup(tuple(scheme.sites), 0.0, 1.0),)
    groups = []
    for number, sites in enumerate(split(scheme.sites, count), 1):
        on_step("place", number, count)
        graph = scheme.round(sites)
        left = measure_losses(graph, ranking).mean_square
        ratio = compare_times(machine, turn, machine.load(graph), LEAST_NOISE, limits).overall.middle
        added = 1 - left / error if 0 < error < math.inf else float(left < error)
        groups.append(PlaceGroup(sites, math.expm1(ratio), added))
    return tuple(sorted(groups, key=lambda group: -group.direction))


def split(sites: Sequence[RoundingSite], count: int) -> list[tuple[RoundingSite, ...]]:
    """Pieces of the sequence, as equal as they can be."""
    ends = [len(sites) * number // count for number in range(count + 1)]
    return [tuple(sites[start:end]) for start, end in itertools.pairwise(ends)]


def spread(groups: Sequence[PlaceGroup], most: int) -> list[int]:
    """Up to `most` numbers of groups, between none and all, at equal distances along the expected front."""
    saved, added = (
        [max(share, 0.0) for share in pair] for pair in zip(*map(_get_shares, groups), strict=True)
    )
    floor = 1 / len(groups)  # where all groups are alike, or noise
    steps = [
        s / (sum(saved) or 1.0) + a / (sum(added) or 1.0) + floor for s, a in zip(saved, added, strict=True)
    ]
    lengths = list(itertools.accumulate(steps))
    marks = [lengths[-1] * number / (most + 1) for number in range(1, most + 1)]
    return sorted({_find_nearest(lengths[: len(groups) - 1], mark) + 1 for mark in marks if len(groups) > 1})


def _find_nearest(numbers: Sequence[float], wanted: float) -> int:
    return min(range(len(numbers)), key=lambda place: abs(numbers[place] - wanted))


def _get_shares(group: PlaceGroup) -> tuple[float, float]:
    return group.saved, group.added


def measure_losses(graph: ir.Model, gate: Gate) -> LossReport:
    """The losses of the graph, by the gate's provider."""
    names = [value.name or "" for value in graph.graph.inputs]
    with open_graph(graph, names, gate.provider) as session:
        return gate.measure(session)
