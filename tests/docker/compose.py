"""The compose file as an engine reads it where no variable is set."""

import re
from pathlib import Path
from typing import Any

import yaml

VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
REQUIRED = re.compile(r"\$\{(\w+):\?[^}]*\}")


def variables(path: Path) -> dict[str, str]:
    """Each variable that the file at `path` reads, and its default."""
    return dict(VARIABLE.findall(path.read_text(encoding="utf-8")))


def required(path: Path) -> set[str]:
    """The variables without which the file at `path` is refused."""
    return set(REQUIRED.findall(path.read_text(encoding="utf-8")))


def with_defaults(path: Path) -> str:
    """The text of the file at `path`, each variable replaced by its default."""
    return VARIABLE.sub(lambda match: match[2], path.read_text(encoding="utf-8"))


def services(path: Path) -> dict[str, dict[str, Any]]:
    """The services of the file at `path` by name."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(with_defaults(path))["services"]
    return found
