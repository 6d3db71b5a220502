"""Settings: Policies, aliases, replacement."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from serve.settings.topic import Topic


class PolicySettings(Topic):
    """What a file has to have, and what outlives versions and restarts."""

    panel: ClassVar[str] = "Policies, aliases, replacement"

    require_parity: Annotated[
        bool, Field(description="Serve only files whose manifest records that parity passed.")
    ] = False
    require_strong_parity: Annotated[
        bool, Field(description="Serve only files whose manifest records that parity passed and is strong.")
    ] = False
    require_signature: Annotated[
        Path | None, Field(description="PEM file of a public key; serve only files signed for it.")
    ] = None
    state: Annotated[
        Path | None, Field(description="Folder for aliases and drift; without it a restart loses them.")
    ] = None
    experiments: Annotated[Path | None, Field(description="YAML file of experiments to define.")] = None
    experiments_store: Annotated[
        str, Field(description="Folder or PostgreSQL URL that stores experiments; without it there are none.")
    ] = ""
    experiments_retention_days: Annotated[
        float, Field(ge=1, le=36_500, description="Days that outcomes and ended experiments are kept.")
    ] = 365.0
    drain_seconds: Annotated[
        float,
        Field(ge=0, le=86_400, description="Seconds that a replaced version has to finish its requests."),
    ] = 30.0
