"""Settings: Model repository."""

from typing import Annotated, ClassVar

from pydantic import Field

from serve.engine.config import ModelConfig, Versions
from serve.settings.topic import Topic

MODEL = ModelConfig()  # the defaults of one without a `config.toml`


class RepositorySettings(Topic):
    """Which files of the models folder are served, and when."""

    panel: ClassVar[str] = "Model repository"

    model_limit_mib: Annotated[int, Field(ge=1, description="Maximum size of a model file, in MiB.")] = 2048
    poll_seconds: Annotated[
        float,
        Field(
            ge=0, le=86_400, description="Seconds between checks of the folder for changes; 0 disables them."
        ),
    ] = 0.0
    start_empty: Annotated[bool, Field(description="Start even if no model can be served yet.")] = False
    versions: Annotated[
        Versions, Field(description="Versions to serve of each model: all, or latest:n for the n highest.")
    ] = MODEL.versions
