"""What the engine tells of itself: the state of each version, and what each has done."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """One version in the repository; the reason may be shown to anyone.

    A version that is READY and has a reason serves its older file, since the newer one was refused.
    """

    name: str
    version: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something was done, and the nanoseconds that it took together."""

    count: int = 0
    ns: int = 0


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The runs of one number of rows."""

    batch_size: int
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """What one version has done since the engine was opened, by the protocol's names.

    `success` and `fail` count requests, from when the engine got them to when it had the answer;
    `compute_input` is joining requests, and `compute_output` parting their answers, `compute_infer` the
    run itself; all three count requests, and in `batch_stats` runs.
    """

    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970; 0 for never."""
    inference_count: int
    """Rows."""
    execution_count: int
    """Runs."""
    success: Duration
    fail: Duration
    queue: Duration
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    waiting: int
    """Requests that wait for their turn."""
    batch_stats: tuple[BatchStatistics, ...]
    cache_hit: Duration = Duration()
    """Nothing is cached: always zero, as is `cache_miss`."""
    cache_miss: Duration = Duration()
