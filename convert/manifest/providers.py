"""The record of a choice among ONNX Runtime's providers, by measuring. Standard library only."""

from collections.abc import Mapping
from dataclasses import dataclass

from adaptact.halving import HalvingResult, Timing
from adaptact.languages.catalogue import mark

UNUSABLE = mark("it cannot be used here: `adaptact doctor` says why")
CANNOT_RUN = mark("it cannot load or run the graph")
NO_ROOM = mark("not tried: so many copies of the model would take too much memory")
"""Why a provider was not timed. What it says itself may name paths of this machine."""
NO_OTHER = mark("no other provider can be used")
"""The decision where only the CPU provider is left."""
MANY = 0.1
"""The share of operators that a provider leaves to the CPU provider and that is worth a warning."""


@dataclass(frozen=True, slots=True)
class CandidateRecord:
    """A provider with so many threads: what a run took, and why it was not taken."""

    provider: str
    threads: int
    microseconds: tuple[float, ...]
    """Of one run, by batch; empty where it was not timed."""
    ratio: float | None
    """The time over that of the first candidate, which is used where no other is clearly faster; the
    geometric mean over the batches. None where it was not timed."""
    rounds: int
    """The turns that it took: fewer where it was among the slower half."""
    reason: str
    """Empty for the chosen one, and where nothing was timed."""


@dataclass(frozen=True, slots=True)
class ProviderChoiceRecord:
    """The provider and the threads that were chosen, for which machine, and the timings behind it."""

    provider: str
    threads: int
    processor: str
    versions: dict[str, str]
    """Of the packages whose kernels were timed."""
    batches: tuple[int, ...]
    seconds: float
    """The time allowed for timing."""
    spent: float
    """The time that it took, without loading and comparing answers."""
    judged_on: str
    """The samples on which the answers were compared, in words."""
    candidates: tuple[CandidateRecord, ...]
    verdict: str
    """The decision, in words."""

    def holds_for(self, processor: str, versions: Mapping[str, str]) -> bool:
        """Whether it was measured on such a machine, with these versions."""
        return (self.processor, self.versions) == (processor, versions)


@dataclass(frozen=True, slots=True)
class PlacementRecord:
    """Which operators of the graph, as ONNX Runtime optimised it, the file's provider does not compute."""

    operators: int
    """All of the graph."""
    elsewhere: dict[str, int]
    """How many of each kind ONNX Runtime's own kernels for the CPU compute instead."""

    @property
    def left(self) -> int:
        """How many the provider does not compute."""
        return sum(self.elsewhere.values())

    @property
    def is_scattered(self) -> bool:
        """Whether these are many: each change from one to the other costs a copy."""
        return self.left > MANY * self.operators


def record_candidate(
    provider: str, threads: int, timing: Timing | None, reason: str = "", *, is_chosen: bool = False
) -> CandidateRecord:
    """The record of a candidate; `reason` is why it was not timed, where it was not."""
    if timing is None or not timing.rounds:
        return CandidateRecord(provider, threads, (), None, 0, reason)
    lost = (
        mark("slower than the chosen one") if timing.is_faster else mark("not clearly faster than the first")
    )
    return CandidateRecord(
        provider,
        threads,
        tuple(round_timing(1e6 * seconds) for seconds in timing.seconds),
        round_timing(timing.ratio),
        timing.rounds,
        "" if is_chosen else lost,
    )


def describe_result(result: HalvingResult) -> str:
    """The decision, in words."""
    if result.chosen == 0:
        return mark("no other is clearly faster than the CPU provider")
    return mark("it takes {share} of the CPU provider's time").format(share=f"{result.gain:.2f}")


def round_timing(number: float) -> float:
    """Four digits, more than a timing has."""
    return float(f"{number:.4g}")
