"""Two graphs timed against each other in turns, and the confidence of the result."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import onnx_ir as ir

from adaptact.providers.catalogue import find_provider
from adaptact.providers.provider import Precision
from convert.artefact.file import serialise
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec
from convert.model_io.runtime import Session
from convert.model_io.samples import make_example

TURN_SECONDS = 0.02
FEWEST_ROUNDS, MOST_ROUNDS, GUARD_ROUNDS = 9, 21, 31
HOPELESS_ROUNDS = 5
"""The rounds after which a candidate that was slower in all of them is given up."""
LEAST_NOISE = 0.005
"""A share of the time: two sessions of one file differ by as much, since their memory layouts do."""
RISK = 0.002
"""The risk that an interval does not hold the true median, where there are rounds enough to reach it."""

Turn = Callable[[], Sequence[float]]
"""Takes one turn: the seconds of one run for each batch size."""


class Machine(Protocol):
    """A machine that graphs are timed on."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""

    def load(self, graph: ir.Model) -> Turn:
        """The graph, ready to take its turns."""


class Target:
    """ONNX Runtime on this machine, by one provider, with so many threads and samples at a time.

    The provider computes in `precision`.
    """

    def __init__(
        self,
        inputs: Sequence[InputSpec],
        provider: str,
        threads: int,
        batches: Sequence[int],
        precision: Precision = "fp32",
    ) -> None:
        self._names = [spec.name for spec in inputs]
        self._provider, self._threads, self._precision = provider, threads, precision
        # One thread on the CPU does all the work itself: its clock stands still while others have the core.
        is_alone = threads == 1 and not find_provider(provider).on_gpu
        self._clock = time.thread_time if is_alone else time.perf_counter
        self._feeds = [make_example(inputs, batch) for batch in batches]

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def load(self, graph: ir.Model) -> Turn:
        """A session of the graph that has run on each batch already."""
        session = Session(
            serialise(graph),
            self._names,
            self._provider,
            threads=self._threads,
            precision=self._precision,
        )

        def turn() -> list[float]:
            return [self._time_fastest(session, arrays) for arrays in self._feeds]

        turn()
        return turn

    def _time_fastest(self, session: Session, arrays: Sequence[Array]) -> float:
        """The seconds of the fastest run in one turn: other load on the machine only adds time."""
        times: list[float] = []
        walls: list[float] = []
        end = self.now() + TURN_SECONDS
        while not times or self.now() < end:
            began, start = self.now(), self._clock()
            session.run(arrays)
            times.append(self._clock() - start)
            walls.append(self.now() - began)
        # Some kernels count a thread's time in ticks, and one that stood still says nothing.
        return min(times) or max(min(walls), 1e-9)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A candidate's time over the base's, as a logarithm: the median of all rounds, and its interval."""

    middle: float
    low: float
    high: float

    @property
    def is_faster(self) -> bool:
        """Whether the candidate takes less time, beyond the noise."""
        return self.high < 0

    @property
    def is_slower(self) -> bool:
        """Whether the candidate takes more time, beyond the noise."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class TimingComparison:
    """The rounds summarised: the ratio over all batches and by batch, and both median times by batch."""

    rounds: int
    overall: Ratio
    by_batch: tuple[Ratio, ...]
    base_seconds: tuple[float, ...]
    candidate_seconds: tuple[float, ...]

    @property
    def is_win(self) -> bool:
        """Whether the candidate is faster, and slower with no batch."""
        if self.rounds < FEWEST_ROUNDS:
            return False
        return self.overall.is_faster and not any(batch.is_slower for batch in self.by_batch)

    @property
    def is_decided(self) -> bool:
        """Whether more rounds would hardly change the result."""
        return self.is_win or (self.rounds >= HOPELESS_ROUNDS and self.overall.is_slower)


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: after so many rounds, or at a time on the machine's clock."""

    rounds: int = MOST_ROUNDS
    until: float = math.inf
    early: bool = True
    """Whether to stop as soon as the result is decided."""


def compare_times(
    machine: Machine, base: Turn, candidate: Turn, noise: float, limits: Limits
) -> TimingComparison:
    """The candidate timed against the base, in turns; a difference below `noise` does not count."""
    rounds: list[tuple[Sequence[float], Sequence[float]]] = []
    comparison = _summarise(rounds, noise)
    while len(rounds) < limits.rounds and machine.now() < limits.until:
        # Back and forth, so that whatever drifts during a round favours neither.
        if len(rounds) % 2 == 0:
            base_seconds = base()
            rounds.append((base_seconds, candidate()))
        else:
            candidate_seconds = candidate()
            rounds.append((base(), candidate_seconds))
        comparison = _summarise(rounds, noise)
        if limits.early and comparison.is_decided:
            break
    return comparison


def _summarise(rounds: Sequence[tuple[Sequence[float], Sequence[float]]], noise: float) -> TimingComparison:
    if not rounds:
        return TimingComparison(0, Ratio(0.0, -math.inf, math.inf), (), (), ())
    bases, candidates = (list(zip(*(turn[side] for turn in rounds), strict=True)) for side in (0, 1))
    logs = [
        [math.log(mine / other) for mine, other in zip(batch, base_batch, strict=True)]
        for batch, base_batch in zip(candidates, bases, strict=True)
    ]
    overall = [statistics.fmean(together) for together in zip(*logs, strict=True)]
    return TimingComparison(
        rounds=len(rounds),
        overall=_estimate_ratio(overall, noise),
        by_batch=tuple(_estimate_ratio(batch, noise) for batch in logs),
        base_seconds=tuple(map(statistics.median, bases)),
        candidate_seconds=tuple(map(statistics.median, candidates)),
    )


def _estimate_ratio(logs: Sequence[float], noise: float) -> Ratio:
    """The median in the interval of the sign test, valid for any distribution, widened to the noise."""
    ordered, count = sorted(logs), len(logs)
    outside, risk = 0, 2.0 ** (1 - count)
    while risk + 2.0 ** (1 - count) * math.comb(count, outside + 1) <= RISK:
        outside += 1
        risk += 2.0 ** (1 - count) * math.comb(count, outside)
    middle = statistics.median(ordered)
    low, high = ordered[outside], ordered[-1 - outside]
    return Ratio(middle, min(low, middle - noise), max(high, middle + noise))


def measure_noise(machine: Machine, graph: ir.Model, until: float) -> tuple[float, TimingComparison]:
    """The difference of a graph, loaded twice, from itself, as a share of its time; and the comparison."""
    limits = Limits(until=until, early=False)
    comparison = compare_times(machine, machine.load(graph), machine.load(graph), LEAST_NOISE, limits)
    return max(-comparison.overall.low, comparison.overall.high), comparison
