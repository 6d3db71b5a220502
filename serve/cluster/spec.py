"""What a replica is made from: settings, files and resources, the same bytes on every node."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adaptact import __version__
from serve.cluster.errors import ClusterError
from serve.experiments.errors import StoreError
from serve.experiments.units import KEY_FILE, load_or_make_key
from serve.settings import PREFIX, Settings
from serve.settings.cluster import ClusterSettings

FILES = ("keys", "tls_certificate", "tls_key", "require_signature", "experiments")
"""The settings that are files of the machine where the command runs: their contents go to the nodes."""
PLACED = ("host", "port", "grpc_port", "state", "proxies", *FILES, *ClusterSettings.model_fields)
"""The settings that are otherwise on a node."""
MOST_FILE_BYTES = 2**20
MOST_MODEL_FILES = 10_000


@dataclass(frozen=True, slots=True)
class ReplicaSpec:
    """A server: two replicas of one specification give the same answers."""

    environment: Mapping[str, str]
    """The settings as variables, but for files."""
    files: Mapping[str, bytes] = field(repr=False)
    """By the setting, or by the name in the folder of the state."""
    cpus: int
    gpus: float
    has_grpc: bool
    models: str
    """What the folder of models held, so that another model is another specification; or their source."""
    generation: str = ""
    """Replicas of another one are other replicas, though their content is the same."""
    version: str = __version__
    """Of the program that is to be the server."""

    @property
    def content(self) -> str:
        """The same for specifications that make the same server, by the same program."""
        files = {name: hashlib.sha256(content).hexdigest() for name, content in self.files.items()}
        resources = [self.cpus, self.gpus, self.has_grpc]
        return _digest([self.version, dict(self.environment), files, resources, self.models])

    @property
    def digest(self) -> str:
        """The same for equal specifications."""
        return _digest([self.content, self.generation])


def make_spec(settings: Settings, proxies: str, generation: str = "") -> ReplicaSpec:
    """The specification of these settings; `proxies` are the addresses that requests come from.

    Another `generation` makes another specification. Raises `ClusterError`.
    """
    require_possible(settings)
    return ReplicaSpec(
        environment={**dict(_list_variables(settings)), f"{PREFIX}PROXIES": settings.proxies or proxies},
        files=dict(_read_files(settings)),
        cpus=settings.replica_cpus,
        gpus=settings.replica_gpus,
        has_grpc=settings.grpc_port != 0,
        # A copy changes with its source, which every replica follows by itself.
        models=settings.source or describe_models(settings.models),
        generation=generation,
    )


def describe_models(where: Path) -> str:
    """A digest of the names, sizes and times of a folder's files; of what is no folder here, its path."""
    lines = []
    for parent, folders, names in os.walk(where):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:
                continue  # it has gone meanwhile
            lines.append(f"{os.path.relpath(path, where)} {status.st_size} {status.st_mtime_ns}")
        if len(lines) > MOST_MODEL_FILES:
            break
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16] if lines else str(where)


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def require_possible(settings: Settings) -> None:
    """Raises `ClusterError` for settings that replicas cannot have."""
    if settings.state is None:
        raise ClusterError("`--cluster` needs `--state`, the folder of the proxy's files and of unit.key")
    if settings.tls_client_ca is not None:
        raise ClusterError("`--tls-client-ca` does not work with `--cluster`: clients meet the proxy")
    if settings.shared_memory:
        raise ClusterError("`--shared-memory` does not work with `--cluster`: clients are on other machines")
    if settings.experiments_store and "://" not in settings.experiments_store:
        raise ClusterError(
            f"`--experiments-store {settings.experiments_store}` is a folder, which replicas cannot share; "
            "expected a `postgresql://` URL"
        )
    if settings.experiments is not None and not settings.experiments_store:
        raise ClusterError(
            "`--experiments` needs `--experiments-store postgresql://...` with `--cluster`: else each "
            "replica would assign units by itself"
        )
    if settings.replica_gpus > 1 and not settings.replica_gpus.is_integer():
        raise ClusterError(
            f"`--replica-gpus {settings.replica_gpus:g}` is no share of one GPU and no whole number; "
            "expected such as 0.5 or 2"
        )
    if settings.min_replicas > settings.max_replicas:
        raise ClusterError(
            f"`--min-replicas {settings.min_replicas}` is more than `--max-replicas {settings.max_replicas}`"
        )


def _list_variables(settings: Settings) -> Iterator[tuple[str, str]]:
    values = settings.model_dump(mode="json")
    for name, information in Settings.model_fields.items():
        value = values[name]
        if name in PLACED or value in (None, "") or value == information.default:
            continue
        if isinstance(getattr(settings, name), Path) and value != "-":
            value = os.path.abspath(value)  # a replica has a working folder of its own, which ends with it
        yield f"{PREFIX}{name.upper()}", json.dumps(value) if isinstance(value, bool) else str(value)


def _read_files(settings: Settings) -> Iterator[tuple[str, bytes]]:
    for name in FILES:
        path = getattr(settings, name)
        if path is not None:
            yield name, _read(path, f"--{name.replace('_', '-')}")
    if settings.experiments_store and settings.state is not None:
        try:
            load_or_make_key(settings.state)
        except StoreError as error:
            raise ClusterError(str(error)) from error
        yield KEY_FILE, _read(settings.state / KEY_FILE, "--state")


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ClusterError(f"`{path}` of `{option}` cannot be read: {error.strerror}") from error
    if len(content) > MOST_FILE_BYTES:
        raise ClusterError(f"`{path}` of `{option}` has more than {MOST_FILE_BYTES} bytes")
    return content
