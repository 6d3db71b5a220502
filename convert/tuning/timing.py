"""Two graphs timed against each other in turns, and how far the result can be trusted."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from convert.artefact.file import serialise
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Array, Session
from convert.model_io.samples import example

TURN_SECONDS = 0.02
FEWEST_ROUNDS, MOST_ROUNDS, GUARD_ROUNDS = 9, 21, 31
HOPELESS_ROUNDS = 5
"""After so many, what was slower in all of them is given up."""
LEAST_NOISE = 0.005
"""A share of the time. Two sessions of one file differ by as much, since their memory lies elsewhere."""
RISK = 0.002
"""Of an interval that leaves the true middle out, where the rounds are many enough to tell."""

Turn = Callable[[], Sequence[float]]
"""Seconds of one run for each batch size."""


class Machine(Protocol):
    """What graphs are timed on."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def load(self, graph: ir.Model) -> Turn:
        """The graph, ready to take its turns."""


class Target:
    """ONNX Runtime on this machine, by one provider, with so many threads and samples at a time."""

    def __init__(
        self, inputs: Sequence[InputSpec], provider: str, threads: int, batches: Sequence[int]
    ) -> None:
        self._names = [spec.name for spec in inputs]
        self._provider, self._threads = provider, threads
        # One thread on the CPU does all the work itself: its clock stands still while others have the core.
        self._clock = time.thread_time if (provider, threads) == ("cpu", 1) else time.perf_counter
        self._feeds = [example(inputs, batch) for batch in batches]

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def load(self, graph: ir.Model) -> Turn:
        """A session of the graph that has run on each batch already."""
        session = Session(serialise(graph), self._names, self._provider, threads=self._threads)

        def turn() -> list[float]:
            return [self._fastest(session, arrays) for arrays in self._feeds]

        turn()
        return turn

    def _fastest(self, session: Session, arrays: Sequence[Array]) -> float:
        """The least of the runs in one turn: what else the machine does can only add to it."""
        times: list[float] = []
        end = self.now() + TURN_SECONDS
        while not times or self.now() < end:
            start = self._clock()
            session.run(arrays)
            times.append(self._clock() - start)
        return min(times)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A candidate's time over the base's, as a logarithm: the median of all rounds, and its interval."""

    middle: float
    low: float
    high: float

    @property
    def faster(self) -> bool:
        """Whether the candidate takes less time beyond the noise."""
        return self.high < 0

    @property
    def slower(self) -> bool:
        """Whether it takes more."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of the rounds: over all batches, by batch, and the median seconds of either by batch."""

    rounds: int
    overall: Ratio
    by_batch: tuple[Ratio, ...]
    base_seconds: tuple[float, ...]
    candidate_seconds: tuple[float, ...]

    @property
    def wins(self) -> bool:
        """Whether the candidate is faster, and with no batch slower."""
        if self.rounds < FEWEST_ROUNDS:
            return False
        return self.overall.faster and not any(batch.slower for batch in self.by_batch)

    @property
    def decided(self) -> bool:
        """Whether more rounds would hardly say anything else."""
        return self.wins or (self.rounds >= HOPELESS_ROUNDS and self.overall.slower)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: after so many rounds, or at a time on the machine's clock."""

    rounds: int = MOST_ROUNDS
    until: float = math.inf
    early: bool = True
    """Whether to stop as soon as it is decided."""


def compare(machine: Machine, base: Turn, candidate: Turn, noise: float, limits: Limits) -> Compared:
    """The candidate against the base, in turns; nothing less than `noise` counts as a difference."""
    rounds: list[tuple[Sequence[float], Sequence[float]]] = []
    found = _compared(rounds, noise)
    while len(rounds) < limits.rounds and machine.now() < limits.until:
        # Back and forth, so that whatever drifts during a round favours neither.
        if len(rounds) % 2 == 0:
            mine = base()
            rounds.append((mine, candidate()))
        else:
            theirs = candidate()
            rounds.append((base(), theirs))
        found = _compared(rounds, noise)
        if limits.early and found.decided:
            break
    return found


def _compared(rounds: Sequence[tuple[Sequence[float], Sequence[float]]], noise: float) -> Compared:
    if not rounds:
        return Compared(0, Ratio(0.0, -math.inf, math.inf), (), (), ())
    bases, candidates = (list(zip(*(turn[side] for turn in rounds), strict=True)) for side in (0, 1))
    logs = [
        [math.log(mine / other) for mine, other in zip(ours, others, strict=True)]
        for ours, others in zip(candidates, bases, strict=True)
    ]
    overall = [statistics.fmean(together) for together in zip(*logs, strict=True)]
    return Compared(
        rounds=len(rounds),
        overall=_ratio(overall, noise),
        by_batch=tuple(_ratio(batch, noise) for batch in logs),
        base_seconds=tuple(map(statistics.median, bases)),
        candidate_seconds=tuple(map(statistics.median, candidates)),
    )


def _ratio(logs: Sequence[float], noise: float) -> Ratio:
    """The median, in the sign test's interval, which holds for any distribution, widened to the noise."""
    ordered, count = sorted(logs), len(logs)
    outside, risk = 0, 2.0 ** (1 - count)
    while risk + 2.0 ** (1 - count) * math.comb(count, outside + 1) <= RISK:
        outside += 1
        risk += 2.0 ** (1 - count) * math.comb(count, outside)
    middle = statistics.median(ordered)
    low, high = ordered[outside], ordered[-1 - outside]
    return Ratio(middle, min(low, middle - noise), max(high, middle + noise))


def noise_of(machine: Machine, graph: ir.Model, until: float) -> tuple[float, Compared]:
    """How much one graph, loaded twice, differs from itself, as a share of its time; and the comparison."""
    limits = Limits(until=until, early=False)
    found = compare(machine, machine.load(graph), machine.load(graph), LEAST_NOISE, limits)
    return max(-found.overall.low, found.overall.high), found
