"""Which versions are served, by every name that a client may use for them: versions, aliases, the latest."""

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from serve.engine.errors import (
    AliasError,
    ModelUnavailableError,
    StateError,
    UnknownModelError,
    listed,
    quoted,
)
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.states import ModelState

STABLE = "stable"
"""The alias that answers where no version is named."""
FILE = "aliases.json"
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
MOST = 16
LARGEST_BYTES = 2**20


class Aliases:
    """By model and alias, the version meant; kept in a file where there is a folder for it."""

    def __init__(self, folder: Path | None) -> None:
        """Read what is kept; raises `StateError` where that cannot be done."""
        self._path = folder / FILE if folder else None
        self._versions = _read(self._path) if self._path else {}

    def of(self, name: str) -> dict[str, str]:
        """The model's aliases and the version that each means."""
        return dict(self._versions.get(name, {}))

    def set(self, name: str, alias: str, version: str) -> None:
        """Let the alias mean the version; raises `AliasError` for a name that cannot be one."""
        if not NAME.fullmatch(alias):
            raise AliasError(
                f"alias {quoted(alias)} cannot be: expected 1 to 32 lower-case letters, digits, dashes and "
                "underscores, the first a letter"
            )
        changed = {**self.of(name), alias: version}
        if len(changed) > MOST:
            raise AliasError(f"model {quoted(name)} has {MOST} aliases; remove one first")
        self._replace({**self._versions, name: changed})

    def remove(self, name: str, alias: str) -> None:
        """Forget the alias; raises `AliasError` where there is none."""
        left = self.of(name)
        if left.pop(alias, None) is None:
            raise AliasError(f"model {quoted(name)} has no alias {quoted(alias)}")
        others = {each: versions for each, versions in self._versions.items() if each != name}
        self._replace({**others, name: left} if left else others)

    def _replace(self, versions: Mapping[str, Mapping[str, str]]) -> None:
        """Keep these from here on: on the disk first, so that nothing that was told is forgotten."""
        if self._path:
            _write(self._path, versions)
        self._versions = {name: dict(aliases) for name, aliases in versions.items()}


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        with path.open("rb") as stream:
            content = json.loads(stream.read(LARGEST_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StateError(f"`{path}` cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StateError(f"`{path}` is not JSON: {quoted(str(error))}; remove it to start without") from error
    if not _is_of_text(content):
        raise StateError(f"`{path}` is not a table of aliases by model; remove it to start without")
    return {str(name): dict(aliases) for name, aliases in content.items()}


def _is_of_text(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(aliases, dict)
        and all(NAME.fullmatch(alias) and isinstance(version, str) for alias, version in aliases.items())
        for aliases in content.values()
    )


def _write(path: Path, versions: Mapping[str, Mapping[str, str]]) -> None:
    # Of this process alone: several workers may keep the same folder.
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w") as stream:
            json.dump(versions, stream, indent=1, sort_keys=True)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise StateError(f"`{path}` cannot be written: {error.strerror}") from error


class Catalogue:
    """The models that can answer, the state of those that cannot, and their aliases."""

    def __init__(self, aliases: Aliases, metrics: Metrics) -> None:
        """Nothing is served yet."""
        self._aliases = aliases
        self._metrics = metrics
        self._lock = threading.Lock()
        self._served: dict[str, dict[str, ServedModel]] = {}
        self._states: dict[str, dict[str, ModelState]] = {}
        self._doors: dict[tuple[str, str | None], ServedModel] = {}

    def names(self) -> list[str]:
        """The names of the models that can answer, in order."""
        return sorted(self._served)

    def served(self, name: str) -> Mapping[str, ServedModel]:
        """The model's versions that can answer, lowest first; none for an unknown name."""
        return self._served.get(name, {})

    def model(self, name: str, version: str | None) -> ServedModel:
        """The version asked for by number or alias, or the one that answers where none is named.

        Raises `UnknownModelError` or `ModelUnavailableError`.
        """
        found = self._doors.get((name, version))
        return found if found is not None else self._missing(name, version)

    def can_answer(self, name: str) -> bool:
        """Whether the model answers where no version is named."""
        return (name, None) in self._doors

    def index(self) -> list[ModelState]:
        """Every version that is known, by name and then by version."""
        states = self._states
        return [each for name in sorted(states) for each in states[name].values()]

    def replace(
        self, name: str, served: Mapping[str, ServedModel], states: Sequence[ModelState]
    ) -> list[ServedModel]:
        """The versions that served before and do no more, now that these do; no request falls between."""
        with self._lock:
            before = self._served.get(name, {})
            others = {each: versions for each, versions in self._served.items() if each != name}
            ordered = {version: served[version] for version in sorted(served, key=int)}
            self._open({**others, name: ordered} if ordered else others)
            self._tell(name, states)
            return [model for version, model in before.items() if served.get(version) is not model]

    def tell(self, name: str, states: Sequence[ModelState]) -> None:
        """Say these of the name's versions, without changing which are served."""
        with self._lock:
            self._tell(name, states)

    def aliases(self, name: str) -> dict[str, str]:
        """The model's aliases and the version that each means."""
        return self._aliases.of(name)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let the alias mean the version; raises `AliasError` unless that can answer."""
        with self._lock:
            versions = self._served.get(name, {})
            if version not in versions:
                raise AliasError(
                    f"alias {quoted(alias)} cannot mean version {quoted(version)} of model {quoted(name)}, "
                    f"which does not serve; versions: {listed(list(versions))}"
                )
            self._aliases.set(name, alias, version)
            self._open(self._served)

    def remove_alias(self, name: str, alias: str) -> None:
        """Forget the alias; raises `AliasError` where there is none."""
        with self._lock:
            self._aliases.remove(name, alias)
            self._open(self._served)

    def _open(self, served: dict[str, dict[str, ServedModel]]) -> None:
        doors = {}
        for name, versions in served.items():
            doors.update(dict(self._doors_of(name, versions)))
        self._served, self._doors = served, doors

    def _doors_of(
        self, name: str, versions: Mapping[str, ServedModel]
    ) -> Iterator[tuple[tuple[str, str | None], ServedModel]]:
        aliases = self._aliases.of(name)
        # An alias that means a version that is gone leads nowhere: another version was not asked for.
        default = aliases.get(STABLE, max(versions, key=int))
        if default in versions:
            yield (name, None), versions[default]
        for alias, version in aliases.items():
            if version in versions:
                yield (name, alias), versions[version]
        for version, model in versions.items():
            yield (name, version), model

    def _tell(self, name: str, states: Sequence[ModelState]) -> None:
        before = self._states.get(name, {})
        after = {each.version: each for each in sorted(states, key=lambda each: int(each.version))}
        others = {each: versions for each, versions in self._states.items() if each != name}
        self._states = {**others, name: after} if after else others
        for each in after.values():
            self._metrics.ready.labels(name, each.version).set(each.state == "READY")
        for version in before.keys() - after.keys():
            self._metrics.ready.remove(name, version)

    def _missing(self, name: str, version: str | None) -> ServedModel:
        """Raise what is true of a name or a version that cannot answer."""
        states, aliases = self._states.get(name, {}), self._aliases.of(name)
        meant = aliases.get(STABLE) if version is None else aliases.get(version, version)
        for state in states.values():
            if meant in (None, state.version):
                reason = f"is not ready: {state.reason or state.state.lower()}"
                raise ModelUnavailableError(f"model {quoted(name)} version {quoted(state.version)} {reason}")
        if not states:
            raise UnknownModelError(
                f"Request for unknown model: {quoted(name)} is not found; models: {listed(self.names())}"
            )
        if meant != version:
            raise ModelUnavailableError(
                f"model {quoted(name)} has no version {quoted(meant)}, which its alias "
                f"{quoted(version or STABLE)} means"
            )
        raise UnknownModelError(
            f"Request for unknown model: {quoted(name)} version {quoted(version)} is not found; "
            f"versions: {listed(list(self.served(name)))}"
        )
