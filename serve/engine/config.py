"""What an operator says of one model: `config.toml` in the model's folder, beside its versions."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from serve.engine.errors import ConfigError, listed, quoted

FILE = "config.toml"
LARGEST_BYTES = 64 * 2**10
VERSIONS = re.compile(r"all|latest:([1-9][0-9]{0,3})")

Batching: TypeAlias = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """How one model is served; what its `config.toml` leaves out is the engine's default."""

    versions: str = "all"
    """`all`, or `latest:n`: the n highest, and those that an alias names."""
    batching: Batching = "auto"
    """Whether requests that wait are joined into one run: `auto` does where that was measured to pay."""
    batch_rows: int = 32
    """Rows that joined requests have together at most."""
    request_rows: int = 0
    """Rows of one request at most; 0 for no limit."""
    queue_length: int = 256
    """Requests that wait at most."""
    queue_seconds: float = 30.0
    """Seconds that a request waits at most; it may ask for less."""

    @property
    def latest(self) -> int | None:
        """How many of the highest versions are served; None for all."""
        found = VERSIONS.fullmatch(self.versions)
        return int(found[1]) if found and found[1] else None


# By field: the lowest and the highest value.
RANGES: Mapping[str, tuple[float, float]] = {
    "batch_rows": (1, 65_536),
    "request_rows": (0, 2**31),
    "queue_length": (1, 1_000_000),
    "queue_seconds": (0.001, 86_400.0),
}


def read_config(path: Path, defaults: ModelConfig) -> ModelConfig:
    """The configuration in the file, over the defaults; these where there is no file.

    Raises `ConfigError` for a file that cannot be read, an unknown key, or a value that cannot be.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        return defaults
    except OSError as error:
        raise ConfigError(f"`{FILE}` cannot be read: {error.strerror}") from error
    if len(text) > LARGEST_BYTES:
        raise ConfigError(f"`{FILE}` is larger than {LARGEST_BYTES} bytes")
    try:
        content = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"`{FILE}` is not TOML: {quoted(str(error))}") from error
    return checked(content, defaults)


def checked(content: Mapping[str, object], defaults: ModelConfig) -> ModelConfig:
    """The defaults with the content's values in their place; raises `ConfigError` for one that cannot be."""
    known = {field.name: field.type for field in dataclasses.fields(ModelConfig)}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"`{FILE}` has an unknown key {quoted(key)}; known: {listed(list(known))}")
        _check(key, value)
    return dataclasses.replace(defaults, **content)  # type: ignore[arg-type]  # each was checked


def _check(key: str, value: object) -> None:
    if key in RANGES:
        low, high = RANGES[key]
        whole = isinstance(getattr(ModelConfig(), key), int)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            kind = "whole number" if whole else "number"
            raise ConfigError(f"`{FILE}`: `{key}` is {quoted(value)}, expected a {kind} from {low} to {high}")
    elif key == "batching" and value not in get_args(Batching):
        raise ConfigError(
            f"`{FILE}`: `{key}` is {quoted(value)}, expected one of: {listed(get_args(Batching))}"
        )
    elif key == "versions" and not (isinstance(value, str) and VERSIONS.fullmatch(value)):
        raise ConfigError(f"`{FILE}`: `{key}` is {quoted(value)}, expected `all` or `latest:n` with n from 1")
