"""How much memory all models together may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """The budget of all models."""

    limit_bytes: int
    processes: int = 1
    """That load every model."""
    least_shared_bytes: int | None = None
    """The smallest model whose weights all processes share; None where each has its own."""
