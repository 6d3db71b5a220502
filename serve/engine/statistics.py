"""The protocol's statistics of a version: counted by the engine, sent by servers, read by the client.

Standard library only: the client loads nothing else.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Duration:
    """The number of executions, and their total time in nanoseconds."""

    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class InferStatistics:
    """Answered requests, failed requests, and the stages of the answered ones."""

    # From when the engine has a request until it has the answer.
    success: Duration
    fail: Duration
    queue: Duration
    # Joining requests, the run itself, and splitting its outputs.
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration
    # Nothing is cached: both are zero.
    cache_hit: Duration
    cache_miss: Duration


@dataclass(frozen=True, slots=True)
class BatchStatistics:
    """The runs of one number of rows."""

    batch_size: int
    # The same stages, but counted once a run.
    compute_input: Duration
    compute_infer: Duration
    compute_output: Duration


@dataclass(frozen=True, slots=True)
class VersionStatistics:
    """The statistics of one version since the server started."""

    name: str
    version: str
    last_inference: int
    """Milliseconds since 1970; 0 for never."""
    inference_count: int
    """Rows."""
    execution_count: int
    """Runs."""
    inference_stats: InferStatistics
    batch_stats: list[BatchStatistics]
