"""The options of drift."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """How much of the traffic is looked at, and for how long it counts."""

    window_seconds: float = 3600.0
    requests_per_second: float = 10.0
    """Of each model in each process, at most."""
    first_rows: int = 0
    """How many first rows are the baseline of a file that holds none; 0 for no baseline."""
    state_folder: Path | None = None
    """Where such baselines are stored."""
    layers_limit_bytes: int = 64 * 2**20
    """The largest model that is loaded a second time for what reaches its activations; 0 for none."""
