"""The record of a choice among ONNX Runtime's providers, by measuring. Standard library only."""

from dataclasses import dataclass
from typing import Literal

Origin = Literal["measured", "manifest", "default"]


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
    """Empty for the chosen one."""


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

    def holds_for(self, processor: str, versions: dict[str, str]) -> bool:
        """Whether it was measured on such a machine, with these versions."""
        return (self.processor, self.versions) == (processor, versions)
