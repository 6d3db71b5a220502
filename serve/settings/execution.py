"""Settings: Execution."""

from typing import Annotated, ClassVar

from pydantic import Field, field_validator

from adaptact.providers.catalogue import ProviderChoice
from serve.engine.memory.amounts import parse_size
from serve.settings.topic import Topic


class ExecutionSettings(Topic):
    """What runs the models, and on how many cores."""

    panel: ClassVar[str] = "Execution"

    provider: Annotated[
        ProviderChoice, Field(description="What runs the models, without fallback; auto: the fastest.")
    ] = "cpu"
    provider_seconds: Annotated[
        float, Field(ge=0.05, le=60, description="With --provider auto: seconds of timing for each model.")
    ] = 1.0
    threads: Annotated[
        int,
        Field(
            ge=0, le=1024, description="Cores that one run may use; 0 chooses half of the cores, at most 4."
        ),
    ] = 0
    concurrency: Annotated[
        int,
        Field(ge=0, le=1024, description="Long runs at the same time; 0 chooses cores divided by threads."),
    ] = 0
    weights_cache: Annotated[
        str,
        Field(
            min_length=1,
            description="Folder of weights that all processes share; auto: the user's cache, if there are "
            "several workers; off: each process has its own.",
        ),
    ] = "auto"
    weights_cache_mib: Annotated[
        int, Field(ge=1, description="Maximum size of that folder, in MiB; what was used longest ago goes.")
    ] = 8192
    model_memory: Annotated[
        str,
        Field(
            description="Maximum memory of all models, such as 4GiB; those used longest ago are unloaded, "
            "and loaded again when they are asked for. Empty: no limit.",
        ),
    ] = ""

    @field_validator("model_memory")
    @classmethod
    def _require_size(cls, text: str) -> str:
        if text and parse_size(text) == 0:
            raise ValueError("a budget of 0 has room for no model; leave it out for no limit")
        return text
