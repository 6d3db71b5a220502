"""One model's configuration: `config.toml` in the model's folder, beside its versions."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from adaptact.suggestions import suggest
from serve.engine.errors import ConfigError, quote, quote_names

CONFIG_FILE = "config.toml"
DESCRIBING = ("classes", "columns", "preprocessing", "outputs", "tokenizer")
"""The file's keys that say what the model is, read by `description`; the others say how it is served."""
MAX_FILE_BYTES = 64 * 2**10
MAX_BATCH_ROWS = 65_536
VERSIONS = re.compile(r"all|latest:([1-9][0-9]{0,3})")

Versions: TypeAlias = Annotated[str, Field(pattern=f"^({VERSIONS.pattern})$")]
Batching: TypeAlias = Literal["auto", "on", "off"]
BatchRows: TypeAlias = Annotated[int, Field(ge=1, le=MAX_BATCH_ROWS)]
RequestRows: TypeAlias = Annotated[int, Field(ge=0, le=2**31)]
QueueLength: TypeAlias = Annotated[int, Field(ge=1, le=1_000_000)]
QueueSeconds: TypeAlias = Annotated[float, Field(ge=0.001, le=86_400.0, allow_inf_nan=False)]
RunSeconds: TypeAlias = QueueSeconds
ProviderRows: TypeAlias = Annotated[int, Field(ge=0, le=MAX_BATCH_ROWS)]


@dataclass(frozen=True, slots=True, config=ConfigDict(strict=True))
class ModelConfig:
    """The configuration of one model; the engine's defaults replace what `config.toml` leaves out."""

    versions: Versions = "all"
    """`all`, or `latest:n`: the n highest, and the versions of aliases."""
    batching: Batching = "auto"
    """Whether waiting requests are joined into one run; `auto` joins them if that was measured to pay."""
    batch_rows: BatchRows = 32
    """Maximum rows of all joined requests together."""
    request_rows: RequestRows = 0
    """Maximum rows of one request; 0 for no limit."""
    queue_length: QueueLength = 1024
    """Maximum requests that wait."""
    queue_seconds: QueueSeconds = 30.0
    """Maximum seconds that a request waits; the request may set a shorter limit."""
    queue_target_seconds: QueueSeconds = 0.125
    """Seconds of waiting from which on further requests are refused."""

    run_seconds: RunSeconds = 30.0
    """Maximum seconds of a run, which is then ended with an error for its requests."""
    provider_rows: ProviderRows = 0
    """The rows of a usual run, which `auto` chooses the provider for; 0 for one and up to eight alike."""

    pinned: bool = False
    """Whether it stays loaded whatever `--model-memory` is short of."""

    @property
    def latest(self) -> int | None:
        """How many of the highest versions are served; None for all."""
        match = VERSIONS.fullmatch(self.versions)
        return int(match[1]) if match and match[1] else None


def read_config(path: Path, defaults: ModelConfig) -> ModelConfig:
    """The defaults overridden by the file; the defaults alone if there is no file.

    Raises `ConfigError` for a file that cannot be read, an unknown key or an invalid value.
    """
    content = read_content(path)
    _check_keys(content, [*ModelConfig.__dataclass_fields__, *DESCRIBING])
    serving = {key: value for key, value in content.items() if key not in DESCRIBING}
    return override_config(serving, defaults) if serving else defaults


def read_content(path: Path) -> dict[str, Any]:
    """All that the file holds, empty if there is none; raises `ConfigError` if it cannot be read."""
    if path.is_fifo():
        raise ConfigError(f"`{CONFIG_FILE}` is a pipe, expected a file")
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"`{CONFIG_FILE}` cannot be read: {error.strerror}") from error
    if len(text) > MAX_FILE_BYTES:
        raise ConfigError(f"`{CONFIG_FILE}` is larger than {MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"`{CONFIG_FILE}` is not TOML: {quote(str(error))}") from error


def override_config(content: Mapping[str, object], defaults: ModelConfig) -> ModelConfig:
    """The defaults overridden by the content; raises `ConfigError` for an invalid value."""
    _check_keys(content, list(ModelConfig.__dataclass_fields__))
    values: dict[str, Any] = {**asdict(defaults), **content}
    try:
        return ModelConfig(**values)
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise ConfigError(
            f"`{CONFIG_FILE}`: `{key}` is {quote(values[key])}, expected {_describe_values(key)}"
        ) from error


def _check_keys(content: Mapping[str, object], known: list[str]) -> None:
    unknown = next((key for key in content if key not in known), None)
    if unknown is not None:
        hint = suggest(unknown, known)
        raise ConfigError(
            f"`{CONFIG_FILE}` has an unknown key {quote(unknown)}"
            f"; {hint + ' ' if hint else ''}known: {quote_names(known)}"
        )


def _describe_values(key: str) -> str:
    """The key's valid values, in words."""
    schema = TypeAdapter(ModelConfig).json_schema()["properties"][key]
    if "enum" in schema:
        return f"one of: {quote_names(schema['enum'])}"
    if "pattern" in schema:
        return "`all` or `latest:n` with n from 1"
    if schema["type"] == "boolean":
        return "`true` or `false`"
    kind = "whole number" if schema["type"] == "integer" else "number"
    return f"a {kind} from {schema['minimum']} to {schema['maximum']}"
