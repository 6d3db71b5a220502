"""The options of drift."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DriftOptions:
    """How much of the traffic is looked at, and for how long it counts."""

    window_seconds: float = 3600.0
    requests_per_second: float = 10.0
    """Of each model in each process, at most."""
    layers_limit_bytes: int = 64 * 2**20
    """The largest model that is loaded a second time for what reaches its activations; 0 for none."""
