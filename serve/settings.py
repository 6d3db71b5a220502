"""Every setting of the server: what it means, its default, and where it is read from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from serve.engine.machine import available_cores

MEBIBYTE = 2**20
PREFIX = "ADAPTACT_"
FILE = "adaptact.toml"


class Settings(BaseSettings):
    """The settings, from arguments, else environment variables, else `adaptact.toml`, else defaults."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, toml_file=FILE, extra="forbid", frozen=True)

    models: Annotated[Path, Field(description="Folder of models.")]
    host: Annotated[str, Field(description="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")] = 8000
    provider: Annotated[
        Literal["cpu", "cuda"], Field(description="What models run on; never replaced by the other.")
    ] = "cpu"
    threads: Annotated[
        int,
        Field(ge=0, le=1024, description="Cores that one run may use; 0 chooses: half of them, at most 4."),
    ] = 0
    concurrency: Annotated[
        int, Field(ge=0, le=1024, description="Long runs at once; 0 chooses: the cores over the threads.")
    ] = 0
    body_limit_mib: Annotated[int, Field(ge=1, le=2048, description="Largest body of a request, in MiB.")] = (
        64
    )
    model_limit_mib: Annotated[int, Field(ge=1, description="Largest model file, in MiB.")] = 2048
    stop_grace_seconds: Annotated[
        int, Field(ge=0, description="How long a stop waits for what is running, in seconds.")
    ] = 30
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least serious message to log.")
    ] = "info"

    @property
    def body_limit_bytes(self) -> int:
        """The largest body of a request."""
        return self.body_limit_mib * MEBIBYTE

    @property
    def model_limit_bytes(self) -> int:
        """The largest model file."""
        return self.model_limit_mib * MEBIBYTE

    @property
    def run_threads(self) -> int:
        """Cores that one run may use."""
        # Half, so that even the smallest machine runs two requests at once: that is worth more than one
        # faster run, and a small model is slower on two cores than on one.
        return self.threads or max(1, min(4, available_cores() // 2))

    @property
    def run_concurrency(self) -> int:
        """Long runs at once."""
        return self.concurrency or max(1, available_cores() // self.run_threads)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment before the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
