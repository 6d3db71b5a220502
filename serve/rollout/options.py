"""Where the experiments of a server are stored, apart from all that needs a database."""

from dataclasses import dataclass
from pathlib import Path

KEPT_PER_SECOND = 100.0
"""Answers that each process keeps: a quarter of a per cent of its processor time, and eight million a day.

A kept answer costs some 25 microseconds of processor time and a row of the store, where guardrails need some
hundred of each variant.
"""
MOST_AT_ONCE = 60
"""Of them between two intervals of the recorder, so that bursts of traffic do not flood the store."""


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
