"""What is served, kept in line with the folder, one name at a time: the new is there before the old goes."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from serve.engine.catalogue import Catalogue
from serve.engine.config import FILE, ModelConfig, checked, read_config
from serve.engine.errors import ModelRefusedError, ProviderError, UnknownModelError, listed, quoted
from serve.engine.model import Loader, ServedModel
from serve.engine.options import EngineOptions
from serve.engine.repository import Fingerprint, ModelFile, find_models, fingerprint
from serve.engine.states import ModelState

log = logging.getLogger("adaptact")

# What the folder holds of one name: by version, what tells whether its files have changed.
Sight: TypeAlias = dict[str, Fingerprint]
Retire: TypeAlias = Callable[[list[ServedModel]], None]


class Rollout:
    """Loads, replaces and unloads; blocks while it does, so it is called off the event loop."""

    def __init__(self, options: EngineOptions, loader: Loader, catalogue: Catalogue, retire: Retire) -> None:
        """Nothing is loaded yet; `retire` is given the versions that serve no more, and does not block."""
        self._options = options
        self._loader = loader
        self._catalogue = catalogue
        self._retire = retire
        self._lock = threading.Lock()
        self._loaded: dict[ServedModel, tuple[Fingerprint, ModelConfig]] = {}
        self._configs: dict[str, ModelConfig] = {}
        self._unloaded: set[str] = set()
        self._begun = False
        self._tried: dict[str, Sight] = {}
        self._seen: dict[str, Sight] = {}

    def begin(self) -> None:
        """Load all that the folder holds; raises `RepositoryError` or `ProviderError`."""
        with self._lock:
            for name, entries in self._found().items():
                self._bring(name, entries)
            self._begun = True

    def load(self, name: str, config: Mapping[str, object] | None) -> None:
        """Load what is new or changed of the name, by this configuration or its own file's.

        Raises `UnknownModelError`, or `ModelRefusedError` for a version that will not be served; the others
        and its older file are served all the same.
        """
        with self._lock:
            found = self._found()
            if name not in found:
                raise UnknownModelError(
                    f"failed to load {quoted(name)}: the models folder holds no such model; "
                    f"models: {listed(list(found))}"
                )
            if config is not None:
                self._configs[name] = checked(config, self._options.defaults)
            else:
                self._configs.pop(name, None)
            self._unloaded.discard(name)
            refusals = self._bring(name, found[name])
        for version, refused in refusals.items():
            raise type(refused)(f"{_called(name, version)} is refused: {refused}", refused.detail)

    def unload(self, name: str) -> list[ServedModel]:
        """The versions that were served; the name stays unloaded until it is loaded again.

        Raises `UnknownModelError` where the folder holds none of this name.
        """
        with self._lock:
            states = [each for each in self._catalogue.index() if each.name == name]
            if not states:
                raise UnknownModelError(f"Request for unknown model: {quoted(name)} is not found")
            self._unloaded.add(name)
            self._configs.pop(name, None)
            stopped = self._catalogue.replace(
                name, {}, [ModelState(name, each.version, "UNLOADING") for each in states]
            )
            self._forget(stopped)
            return stopped

    def unloaded(self, name: str) -> None:
        """Say that the name's versions are gone, once they are, unless it was loaded again since."""
        with self._lock:
            states = [each for each in self._catalogue.index() if each.name == name]
            if name in self._unloaded:
                gone = [ModelState(name, each.version, "UNAVAILABLE", "unloaded") for each in states]
                self._catalogue.tell(name, gone)

    def is_unloaded(self, name: str) -> bool:
        """Whether the name was unloaded, and not loaded again since."""
        return name in self._unloaded

    def follow(self) -> None:
        """Load what has changed since it was last tried, and stopped changing since the last look.

        Raises `RepositoryError` where the folder cannot be read; all that is served stays.
        """
        with self._lock:
            found = self._found()
            seen = {name: _sight(entries) for name, entries in found.items()}
            settled = {name for name, sight in seen.items() if self._seen.get(name) == sight}
            self._seen = seen
            for name in settled - self._unloaded:
                if self._tried.get(name) != seen[name]:
                    self._bring(name, found[name])
            for name in {each.name for each in self._catalogue.index()} - found.keys():
                self._leave(name)

    def _found(self) -> dict[str, list[ModelFile]]:
        found: dict[str, list[ModelFile]] = {}
        for entry in find_models(self._options.folder):
            found.setdefault(entry.name, []).append(entry)
        return found

    def _bring(self, name: str, entries: Sequence[ModelFile]) -> dict[str, ModelRefusedError]:
        """Why versions were refused; the others are served, and a refused one's older file if that was."""
        # Seen before it is read: what changes meanwhile is tried again.
        self._tried[name] = sight = _sight(entries)
        before = self._catalogue.served(name)
        refusals: dict[str, ModelRefusedError] = {}
        try:
            config = self._config(name, entries)
        except ModelRefusedError as refused:
            refusals = {entry.version: refused for entry in entries}
            log.error("model %s is refused: %s", quoted(name), refused)
            served, wanted = dict(before), list(entries)
        else:
            wanted = self._wanted(name, entries, config)
            self._tell_loading(name, wanted, before)
            served = {}
            for entry in wanted:
                try:
                    stamp = sight[entry.version], config
                    served[entry.version] = self._renewed(entry, before.get(entry.version), stamp)
                except ModelRefusedError as refused:
                    refusals[entry.version] = refused
                    log.error("%s is refused: %s %s", _called(name, entry.version), refused, refused.detail)
                    if entry.version in before:
                        served[entry.version] = before[entry.version]
        self._exchange(name, served, [_state(entry, served, refusals) for entry in wanted])
        return refusals

    def _config(self, name: str, entries: Sequence[ModelFile]) -> ModelConfig:
        """The name's configuration: as it was loaded with, else its file's, else the engine's defaults."""
        if name in self._configs or all(entry.bare for entry in entries):
            return self._configs.get(name, self._options.defaults)
        return read_config(self._options.folder / name / FILE, self._options.defaults)

    def _wanted(self, name: str, entries: Sequence[ModelFile], config: ModelConfig) -> list[ModelFile]:
        """The versions to serve, lowest first: all, or the latest and those that an alias means."""
        latest = entries if config.latest is None else entries[-config.latest :]
        meant = self._catalogue.aliases(name).values()
        return [entry for entry in entries if entry in latest or entry.version in meant]

    def _tell_loading(
        self, name: str, wanted: Sequence[ModelFile], before: Mapping[str, ServedModel]
    ) -> None:
        told = [
            ModelState(name, entry.version, "READY" if entry.version in before else "LOADING")
            for entry in wanted
        ]
        self._catalogue.tell(name, told)

    def _renewed(
        self, entry: ModelFile, old: ServedModel | None, stamp: tuple[Fingerprint, ModelConfig]
    ) -> ServedModel:
        """The old one if neither its files nor its configuration have changed, else a new one."""
        if old is not None and self._loaded.get(old) == stamp:
            return old
        try:
            new = self._loader.load(entry, stamp[1])
        except ProviderError as error:
            if not self._begun:
                raise
            # A device that is lost later is no reason to end what still serves.
            raise ModelRefusedError(str(error)) from error
        self._loaded[new] = stamp
        return new

    def _leave(self, name: str) -> None:
        """Stop serving a name that the folder no longer holds."""
        self._exchange(name, {}, [])
        self._unloaded.discard(name)
        self._configs.pop(name, None)
        self._tried.pop(name, None)

    def _exchange(self, name: str, served: Mapping[str, ServedModel], states: Sequence[ModelState]) -> None:
        stopped = self._catalogue.replace(name, served, states)
        self._forget(stopped)
        self._retire(stopped)

    def _forget(self, stopped: Sequence[ServedModel]) -> None:
        for model in stopped:
            self._loaded.pop(model, None)


def _sight(entries: Sequence[ModelFile]) -> Sight:
    sight: Sight = {}
    for entry in entries:
        try:
            sight[entry.version] = fingerprint(entry)
        except ModelRefusedError:
            # Too many files to look at: that it is so is all that is seen of it.
            sight[entry.version] = ()
    return sight


def _called(name: str, version: str) -> str:
    return f"model {quoted(name)} version {quoted(version)}"


def _state(
    entry: ModelFile, served: Mapping[str, ServedModel], refusals: Mapping[str, ModelRefusedError]
) -> ModelState:
    ready = entry.version in served
    reason = str(refusals.get(entry.version, ""))
    if ready and reason:
        reason += "; the file that was loaded before still serves"
    return ModelState(entry.name, entry.version, "READY" if ready else "UNAVAILABLE", reason)
