"""What a copy of a source is made by."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

Removal: TypeAlias = Literal["versions", "all", "nothing"]
"""What goes from the copy once it is gone from the source: versions while their model is there, all, none."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The source, its copy, and what is taken."""

    url: str
    folder: Path
    """The models folder that is the copy."""
    interval_seconds: float = 60.0
    """How often the source is asked."""
    removal: Removal = "versions"
    require_digests: bool = False
    """Whether only files are taken of which the source says the SHA-256."""
    limit_bytes: int = 2 * 2**30
    """The most of one version's files together."""
    latest: int | None = None
    """How many of a model's highest versions are taken; None for all."""
    require_parity: bool = False
    require_strong_parity: bool = False
    require_signature: Path | None = None
    """The policies that files have to meet before they replace others, as those of the engine."""
    log_level: str = "info"

    @property
    def has_policies(self) -> bool:
        """Whether there is any."""
        return self.require_parity or self.require_strong_parity or self.require_signature is not None

    def to_json(self) -> str:
        """The options as text for another process."""
        return json.dumps(asdict(self), default=str)


def parse_options(text: str) -> SourceOptions:
    """The options of `to_json`."""
    fields: dict[str, Any] = json.loads(text)
    for name in ("folder", "require_signature"):
        fields[name] = fields[name] and Path(fields[name])
    return SourceOptions(**fields)
