"""Where weights are shared, and which."""

from dataclasses import dataclass
from pathlib import Path

from adaptact.providers.catalogue import AUTO

PROVIDERS = ("cpu", AUTO)
"""With which models may run on shared weights."""
LEAST_BYTES = 8 * 2**20
"""Of a model's files: for less, four workers save less than 50 MB."""
WAIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class WeightsOptions:
    """The folder of all entries, and what they may take."""

    folder: Path
    limit_bytes: int
    """The most that all entries may take on disk."""
    wait_seconds: float = WAIT_SECONDS
    """How long to wait for another process that makes an entry."""
    least_bytes: int = LEAST_BYTES
    """The smallest model whose weights are shared."""
