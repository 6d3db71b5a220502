"""Where the files under test are."""

import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE = DOCKER / "compose.yaml"
GRPC = DOCKER / "grpc.yaml"
FLEET = DOCKER / "fleet.yaml"
SECURED = DOCKER / "secured.yaml"
MONITORING = DOCKER / "monitoring.yaml"
MONITORING_SECURED = DOCKER / "monitoring-secured.yaml"
GUIDE = ROOT / "docs" / "docker.md"


def project() -> dict[str, Any]:
    """What pyproject.toml says of the distribution."""
    parsed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {**parsed["project"], "packages": parsed["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
