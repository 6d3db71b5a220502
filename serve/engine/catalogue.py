"""The served versions of each model, found by version number, by alias, or as the default."""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Literal, TypeAlias

from adaptact.files import replace_file
from serve.engine.errors import (
    AliasError,
    ModelUnavailableError,
    StateError,
    UnknownModelError,
    quote,
    quote_names,
)
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel

STABLE = "stable"
"""The alias that answers where no version is named."""
ALIAS_FILE = "aliases.json"
ALIASES, SINCE = "aliases", "stable_since"
"""What the file holds."""
ALIAS_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MAX_ALIASES = 16
MAX_FILE_BYTES = 2**20

State: TypeAlias = Literal["READY", "UNAVAILABLE", "LOADING", "UNLOADING"]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """One version in the repository; a ready version with a `reason` still serves its older file."""

    name: str
    version: str
    state: State
    reason: str
    """Why it is not ready, or why its newer file was refused; safe to show to a client."""


class Catalogue:
    """The models that can answer, the state of all others, and the aliases."""

    def __init__(self, aliases: "AliasStore", metrics: Metrics) -> None:
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

    def set_alias(self, name: str, alias: str, version: str, at: int | None = None) -> None:
        """Point the alias at the version, as from that time (microseconds since 1970, by default now).

        The alias `stable` stays where it was pointed, or removed, later than that. Raises `AliasError` if
        that version cannot answer.
        """
        at = self.choose_time(name) if at is None else at
        if alias == STABLE and at < self._aliases.since(name):
            return
        with self._lock:
            versions = self._served.get(name, {})
            if version not in versions:
                raise AliasError(
                    f"alias {quote(alias)} cannot mean version {quote(version)} of model {quote(name)}, "
                    f"which does not serve; versions: {quote_names(list(versions))}"
                )
            self._aliases.set(name, alias, version, at)
            self._publish(self._served)

    def remove_alias(self, name: str, alias: str, at: int | None = None) -> None:
        """Remove the alias, as `set_alias` points it; raises `AliasError` if it does not exist."""
        at = self.choose_time(name) if at is None else at
        if alias == STABLE and at < self._aliases.since(name):
            return
        with self._lock:
            self._aliases.remove(name, alias, at)
            self._publish(self._served)

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
        for entry in after.values():
            self._metrics.ready.labels(name, entry.version).set(entry.state == "READY")
        for version in before.keys() - after.keys():
            self._metrics.ready.remove(name, version)

    def _raise_missing(self, name: str, version: str | None) -> ServedModel:
        """Raise the error for a name or a version that cannot answer."""
        entries, aliases = self._entries.get(name, {}), self._aliases.read(name)
        meant = aliases.get(STABLE) if version is None else aliases.get(version, version)
        for entry in entries.values():
            if meant in (None, entry.version):
                reason = f"is not ready: {entry.reason or entry.state.lower()}"
                raise ModelUnavailableError(f"model {quote(name)} version {quote(entry.version)} {reason}")
        if not entries:
            raise UnknownModelError(
                f"Request for unknown model: {quote(name)} is not found; models: {quote_names(self.names())}"
            )
        if meant != version:
            raise ModelUnavailableError(
                f"model {quote(name)} has no version {quote(meant)}, which its alias "
                f"{quote(version or STABLE)} means"
            )
        raise UnknownModelError(
            f"Request for unknown model: {quote(name)} version {quote(version)} is not found; "
            f"versions: {quote_names(list(self.served(name)))}; aliases: {quote_names(list(aliases))}"
        )


class AliasStore:
    """The aliases of each model and their versions; stored in a file if a state folder is set.

    Of `stable` it is also known since when it is as it is: promotions of before that are past.
    """

    def __init__(self, folder: Path | None) -> None:
        """Read the file; raises `StateError` if that fails."""
        self._path = folder / ALIAS_FILE if folder else None
        self._versions, self._since = _read_file(self._path) if self._path else ({}, {})

    def read(self, name: str) -> dict[str, str]:
        """The model's aliases and the version of each."""
        return dict(self._versions.get(name, {}))

    def since(self, name: str) -> int:
        """When `stable` was last set or removed, in microseconds since 1970; 0 if it never was."""
        return self._since.get(name, 0)

    def set(self, name: str, alias: str, version: str, at: int) -> None:
        """Point the alias at the version; raises `AliasError` for a name that cannot be one."""
        if not ALIAS_NAME.fullmatch(alias):
            raise AliasError(
                f"alias {quote(alias)} cannot be: expected 1 to 32 lower-case letters, digits, dashes and "
                "underscores, the first a letter"
            )
        changed = {**self.read(name), alias: version}
        if len(changed) > MAX_ALIASES:
            raise AliasError(f"model {quote(name)} has {MAX_ALIASES} aliases; remove one first")
        self._replace({**self._versions, name: changed}, self._note(name, alias, at))

    def remove(self, name: str, alias: str, at: int) -> None:
        """Remove the alias; raises `AliasError` if it does not exist."""
        left = self.read(name)
        if left.pop(alias, None) is None:
            raise AliasError(f"model {quote(name)} has no alias {quote(alias)}")
        others = {other: versions for other, versions in self._versions.items() if other != name}
        self._replace({**others, name: left} if left else others, self._note(name, alias, at))

    def _note(self, name: str, alias: str, at: int) -> Mapping[str, int]:
        return {**self._since, name: at} if alias == STABLE else self._since

    def _replace(self, versions: Mapping[str, Mapping[str, str]], since: Mapping[str, int]) -> None:
        """Store these aliases, on disk first so that no acknowledged change is lost."""
        if self._path:
            _write_file(self._path, versions, since)
        self._versions = {name: dict(aliases) for name, aliases in versions.items()}
        self._since = dict(since)


def _read_file(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, int]]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return {}, {}
    except OSError as error:
        raise StateError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"`{path}` is not JSON: {quote(str(error))}; remove it to start without") from error
    since: dict[str, int] = {}
    if isinstance(content, dict) and content.keys() == {ALIASES, SINCE} and _is_times(content[SINCE]):
        content, since = content[ALIASES], content[SINCE]  # else of a version that knew no times
    if not _is_alias_table(content):
        raise StateError(f"`{path}` is not a table of aliases by model; remove it to start without")
    return {str(name): dict(aliases) for name, aliases in content.items()}, since


def _is_times(content: object) -> bool:
    return isinstance(content, dict) and all(type(since) is int for since in content.values())


def _is_alias_table(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(aliases, dict)
        and all(
            ALIAS_NAME.fullmatch(alias) and isinstance(version, str) for alias, version in aliases.items()
        )
        for aliases in content.values()
    )


def _write_file(path: Path, versions: Mapping[str, Mapping[str, str]], since: Mapping[str, int]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as new:
            new.write_text(json.dumps({ALIASES: versions, SINCE: since}, indent=1, sort_keys=True))
    except OSError as error:
        raise StateError(f"`{path}` cannot be written: {error.strerror}") from error
