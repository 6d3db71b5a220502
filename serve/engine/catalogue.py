"""The served versions of each model, found by version number, by alias, or as the default."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import time_ns
from typing import Literal, TypeAlias

from serve.engine.aliases import STABLE, AliasStore, require_served
from serve.engine.errors import (
    AliasError,
    ModelUnavailableError,
    ModelUnloadedError,
    UnknownModelError,
    quote,
    quote_names,
)
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel

State: TypeAlias = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version in the repository; a ready version with a `reason` still serves its older file."""

    name: str
    version: str
    state: State
    reason: str
    """Why it is not ready, or why its newer file was refused; safe to show to a client."""


@dataclass(frozen=True, slots=True)
class OnDemandEntry(IndexEntry):
    """A version that a request loads, or is loading."""


class Catalogue:
    """The models that can answer, the state of all others, and the aliases."""

    def __init__(self, aliases: AliasStore, metrics: Metrics) -> None:
        """Start without models."""
        self._aliases = aliases
        self._metrics = metrics
        self._lock = threading.Lock()
        self._served: dict[str, dict[str, ServedModel]] = {}
        self._entries: dict[str, dict[str, IndexEntry]] = {}
        # By every name and version, or alias, or None: one look-up in each request.
        self._answering: dict[tuple[str, str | None], ServedModel] = {}

    def names(self) -> list[str]:
        """The names of the models that can answer, in order."""
        return sorted(self._served)

    def served(self, name: str) -> Mapping[str, ServedModel]:
        """The model's versions that can answer, lowest first; none for an unknown name."""
        return self._served.get(name, {})

    def model(self, name: str, version: str | None) -> ServedModel:
        """The version with this number or alias, by default the one that answers unversioned requests.

        Raises `UnknownModelError` or `ModelUnavailableError`.
        """
        model = self._answering.get((name, version))
        return model if model is not None else self._raise_missing(name, version)

    def can_answer(self, name: str) -> bool:
        """Whether the model answers requests without a version."""
        return (name, None) in self._answering

    def index(self) -> list[IndexEntry]:
        """Every known version, by name and then by version."""
        entries = self._entries
        return [entry for name in sorted(entries) for entry in entries[name].values()]

    def replace(
        self, name: str, served: Mapping[str, ServedModel], entries: Sequence[IndexEntry]
    ) -> list[ServedModel]:
        """Serve these versions and return the ones they replace; the change is atomic for requests."""
        with self._lock:
            before = self._served.get(name, {})
            others = {other: versions for other, versions in self._served.items() if other != name}
            ordered = {version: served[version] for version in sorted(served, key=int)}
            self._publish({**others, name: ordered} if ordered else others)
            self._set_entries(name, entries)
            return [model for version, model in before.items() if served.get(version) is not model]

    def set_entries(self, name: str, entries: Sequence[IndexEntry]) -> None:
        """Replace the name's index entries without changing the served versions."""
        with self._lock:
            self._set_entries(name, entries)

    def aliases(self, name: str) -> dict[str, str]:
        """The model's aliases and the version of each."""
        return self._aliases.read(name)

    def alias_since(self, name: str) -> int:
        """When the alias `stable` of the model was last changed, in microseconds since 1970; 0 for never."""
        return self._aliases.since(name)

    def choose_time(self, name: str) -> int:
        """The time of a change of the model's aliases that somebody asks for now: it is the latest."""
        return max(time_ns() // 1000, self._aliases.since(name) + 1)

    def set_alias(self, name: str, alias: str, version: str | None, at: int | None = None) -> None:
        """Point the alias at the version, as from that time (microseconds since 1970, by default now).

        The alias `stable` stays where it was pointed, or removed, later than that. Without a version the
        alias is gone. Raises `AliasError` if that version cannot answer, nor does once a request loads it.
        """
        with self._lock:
            at = self.choose_time(name) if at is None else at
            if alias == STABLE and at < self._aliases.since(name):
                return
            if version is None:
                self._aliases.forget(name, alias, at)
            else:
                versions = _list_versions(self.served(name), self._entries.get(name, {}))
                require_served(name, alias, version, versions)
                self._aliases.set(name, alias, version, at)
            self._publish(self._served)

    def remove_alias(self, name: str, alias: str, at: int | None = None) -> None:
        """Remove the alias, as `set_alias` points it; raises `AliasError` if it does not exist."""
        if alias not in self._aliases.read(name):
            raise AliasError(f"model {quote(name)} has no alias {quote(alias)}")
        self.set_alias(name, alias, None, at)

    def _publish(self, served: dict[str, dict[str, ServedModel]]) -> None:
        answering = {}
        for name, versions in served.items():
            answering.update(dict(self._list_answering(name, versions)))
        self._served, self._answering = served, answering

    def _list_answering(
        self, name: str, versions: Mapping[str, ServedModel]
    ) -> Iterator[tuple[tuple[str, str | None], ServedModel]]:
        aliases = self._aliases.read(name)
        # An alias of a version that is gone leads nowhere: the client did not ask for another version.
        default = aliases.get(STABLE, max(versions, key=int))
        if default in versions:
            yield (name, None), versions[default]
        for alias, version in aliases.items():
            if version in versions:
                yield (name, alias), versions[version]
        for version, model in versions.items():
            yield (name, version), model

    def _set_entries(self, name: str, entries: Sequence[IndexEntry]) -> None:
        before = self._entries.get(name, {})
        after = {entry.version: entry for entry in sorted(entries, key=lambda entry: int(entry.version))}
        others = {other: versions for other, versions in self._entries.items() if other != name}
        self._entries = {**others, name: after} if after else others
        # A version that waits for a request is no reason for an alarm.
        shown = {version for version, entry in after.items() if not isinstance(entry, OnDemandEntry)}
        for version in shown:
            self._metrics.ready.labels(name, version).set(after[version].state == "READY")
        for version in (before.keys() | after.keys()) - shown:
            with suppress(KeyError):  # it may never have been shown
                self._metrics.ready.remove(name, version)

    def _list_known(self) -> list[str]:
        """The names of the models that answer, at once or after a request has loaded them."""
        on_demand = (
            name
            for name, entries in self._entries.items()
            if any(isinstance(entry, OnDemandEntry) for entry in entries.values())
        )
        return sorted({*self._served, *on_demand})

    def _raise_missing(self, name: str, version: str | None) -> ServedModel:
        """Raise the error for a name or a version that cannot answer."""
        entries, aliases = self._entries.get(name, {}), self._aliases.read(name)
        meant = aliases.get(STABLE) if version is None else aliases.get(version, version)
        for entry in sorted(entries.values(), key=lambda entry: not isinstance(entry, OnDemandEntry)):
            if meant in (None, entry.version):
                reason = f"is not ready: {entry.reason or entry.state.lower()}"
                if isinstance(entry, OnDemandEntry):
                    raise ModelUnloadedError(f"model {quote(name)} version {quote(entry.version)} {reason}")
                raise ModelUnavailableError(f"model {quote(name)} version {quote(entry.version)} {reason}")
        if not entries:
            known = quote_names(self._list_known())
            raise UnknownModelError(f"Request for unknown model: {quote(name)} is not found; models: {known}")
        if meant != version:
            raise ModelUnavailableError(
                f"model {quote(name)} has no version {quote(meant)}, which its alias "
                f"{quote(version or STABLE)} means"
            )
        versions = _list_versions(self.served(name), entries)
        raise UnknownModelError(
            f"Request for unknown model: {quote(name)} version {quote(version)} is not found; "
            f"versions: {quote_names(versions)}; aliases: {quote_names(list(aliases))}"
        )


def _list_versions(served: Iterable[str], entries: Mapping[str, IndexEntry]) -> list[str]:
    """The versions that answer, at once or after a request has loaded them."""
    on_demand = (version for version, entry in entries.items() if isinstance(entry, OnDemandEntry))
    return sorted({*served, *on_demand}, key=int)
