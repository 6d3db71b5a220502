"""What the index says of versions that load, wait, answer or were refused."""

from collections.abc import Container, Iterable, Mapping

from serve.engine.catalogue import IndexEntry, OnDemandEntry
from serve.engine.errors import ModelRefusedError, quote
from serve.engine.repository import ModelFile

UNLOADED = "unloaded to make room; a request loads it"


def make_entry(
    file: ModelFile, served: Container[str], refusals: Mapping[str, ModelRefusedError]
) -> IndexEntry:
    """The entry of a version that was tried."""
    is_ready = file.version in served
    reason = str(refusals.get(file.version, ""))
    if is_ready and reason:
        reason += "; the file that was loaded before still serves"
    return IndexEntry(file.name, file.version, "READY" if is_ready else "UNAVAILABLE", reason)


def make_loading_entries(
    name: str, versions: Iterable[str], served: Container[str], *, on_demand: bool
) -> list[IndexEntry]:
    """The entries while versions are loaded; those that are served go on."""
    kind = OnDemandEntry if on_demand else IndexEntry
    return [
        IndexEntry(name, version, "READY", "") if version in served else kind(name, version, "LOADING", "")
        for version in versions
    ]


def make_unloaded_entries(name: str, versions: Iterable[str]) -> list[OnDemandEntry]:
    """The entries of versions that a request loads."""
    return [OnDemandEntry(name, version, "UNAVAILABLE", UNLOADED) for version in versions]


def format_label(name: str, version: str) -> str:
    """The version, for a message."""
    return f"model {quote(name)} version {quote(version)}"
