"""What every drill has in common: its outcome, and the model that it serves."""

from pathlib import Path
from typing import NamedTuple

from tests.serve import models


class Row(NamedTuple):
    """A drill and its outcome."""

    drill: str
    outcome: str


def put_models(folder: Path) -> None:
    """Version 1 of `digits`, which doubles, with a configuration."""
    models.put(folder / "models", "digits", models.model(models.DOUBLE))
    (folder / "models" / "digits" / "config.toml").write_text('versions = "all"\n')
