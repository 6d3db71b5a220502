"""Where the experiments of a server are stored, apart from all that needs a database."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """The store, the key of its units, the file of definitions, and how long data are kept."""

    where: str
    """A folder, or a database's URL."""
    keys: Path
    """The folder of the key under which units are hashed."""
    definitions: Path | None = None
    retention_days: float = 365.0
    """How long outcomes, and what ended experiments were told, are kept."""
