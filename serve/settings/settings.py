"""The settings of all topics in one class, and where they are read from."""

import os
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from adaptact.cores import available_cores
from adaptact.suggestions import find_misspelt
from serve.settings.access import AccessSettings
from serve.settings.cluster import ClusterSettings
from serve.settings.cuda import CudaSettings
from serve.settings.execution import ExecutionSettings
from serve.settings.limits import LimitSettings
from serve.settings.observation import ObservationSettings
from serve.settings.policies import PolicySettings
from serve.settings.queues import QueueSettings
from serve.settings.repository import RepositorySettings
from serve.settings.server import ServerSettings
from serve.settings.sources import SourceSettings
from serve.settings.topic import Topic

MEBIBYTE = 2**20
PREFIX = "ADAPTACT_"
FILE = "adaptact.toml"


class Settings(
    # Each has its panel in `--help`, where the last comes first: so pydantic orders the fields of bases.
    LimitSettings,
    AccessSettings,
    ClusterSettings,
    ObservationSettings,
    CudaSettings,
    PolicySettings,
    QueueSettings,
    RepositorySettings,
    SourceSettings,
    ExecutionSettings,
    ServerSettings,
    BaseSettings,
):
    """The settings: from arguments, else environment variables, else `adaptact.toml`, else defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, toml_file=FILE, extra="forbid", frozen=True
    )

    @property
    def body_limit_bytes(self) -> int:
        """The largest body of a request."""
        return self.body_limit_mib * MEBIBYTE

    @property
    def run_threads(self) -> int:
        """Cores that one run may use."""
        # Half, so that even the smallest machine runs two requests at once: that is worth more than one
        # faster run, and a small model is slower on two cores than on one.
        return self.threads or max(1, min(4, available_cores() // max(2, self.workers)))

    @property
    def run_concurrency(self) -> int:
        """Long runs at once in one process."""
        return self.concurrency or max(1, available_cores() // (self.run_threads * max(1, self.workers)))

    @property
    def shared_runs(self) -> int:
        """Long runs at once in all processes together; 0 where each has a number of its own."""
        return 0 if self.concurrency else max(1, available_cores() // self.run_threads)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments before the environment before the file; an empty variable counts as unset."""
        _refuse_misspelt(os.environ, list(settings_cls.model_fields))
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def find_panel(name: str) -> str:
    """The heading under which `--help` shows the setting."""
    topics = (base for base in Settings.__bases__ if issubclass(base, Topic))
    return next(topic.panel for topic in topics if name in topic.model_fields)


def _refuse_misspelt(variables: Mapping[str, str], settings: Sequence[str]) -> None:
    """Raises `ValidationError` for a variable whose name is almost a setting's, and would be ignored."""
    prefix = PREFIX.lower()
    given = {name.lower(): name for name, value in variables.items() if value}
    ours = [name.removeprefix(prefix) for name in given if name.startswith(prefix)]
    for name, meant in find_misspelt(ours, settings):
        variable = given[prefix + name]
        message = f"`{variable}` is no setting, expected `{PREFIX}{meant.upper()}`"
        error = PydanticCustomError("misspelt", "{message}", {"message": message})
        details = InitErrorDetails(type=error, loc=(meant,), input=variables[variable])
        raise ValidationError.from_exception_data("Settings", [details])
