"""Loading, replacing and unloading of models: new versions are warm before old ones stop."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.catalogue import Catalogue, IndexEntry
from serve.engine.config import CONFIG_FILE, ModelConfig, override_config, read_config
from serve.engine.errors import (
    DrainingError,
    EngineError,
    HungLoadError,
    ModelRefusedError,
    ProviderError,
    UnknownModelError,
    quote,
    quote_names,
)
from serve.engine.hung_files import HungFile, HungFiles
from serve.engine.index_entries import format_label, make_entry, make_loading_entries
from serve.engine.memory.room import ModelRoom
from serve.engine.model import ServedModel
from serve.engine.model_files import count_needed
from serve.engine.model_loader import ModelLoader
from serve.engine.options import EngineOptions
from serve.engine.repository import (
    Fingerprint,
    Fingerprints,
    ModelFile,
    find_models,
    read_fingerprint,
    read_fingerprints,
)

log = logging.getLogger("adaptact")
Retire: TypeAlias = Callable[[list[ServedModel]], None]
Stamp: TypeAlias = tuple[Fingerprint, ModelConfig]


class ModelLifecycle:
    """Loads, replaces and unloads models by name; its methods block, so they run off the event loop."""

    def __init__(
        self, options: EngineOptions, loader: ModelLoader, catalogue: Catalogue, retire: Retire
    ) -> None:
        """Start without models; `retire` gets the versions that no longer serve, and must not block."""
        self._options = options
        self._loader = loader
        self._catalogue = catalogue
        self._retire = retire
        self._lock = threading.Lock()
        self._loaded: dict[ServedModel, Stamp] = {}
        self._configs: dict[str, ModelConfig] = {}
        self._expected: set[str] = set()
        self._unloaded: set[str] = set()
        self._has_started = False
        self._tried: dict[str, Fingerprints] = {}
        self._seen: dict[str, Fingerprints] = {}
        self._hung = HungFiles(options.hung_files)
        self.room = ModelRoom(options.memory)

    def hung_files(self) -> tuple[HungFile, ...]:
        """The files whose loading does not end, and those that the options name."""
        return self._hung.files()

    def load_all(self) -> None:
        """Load every model in the folder; raises `RepositoryError` or `ProviderError`."""
        with self._lock:
            found = self._find()
            for name in sorted(found, key=lambda name: not self._is_pinned(name, found[name])):
                self._load_or_leave(name, found[name])
                self._expected.add(name)
            self._has_started = True

    def load(self, name: str, config: Mapping[str, object] | None) -> None:
        """Load new or changed versions of the name, with this configuration or that of its `config.toml`.

        Raises `UnknownModelError`, or `ModelRefusedError` for a refused version; the other versions, and its
        older file, are still served.
        """
        with self._lock:
            found = self._find()
            if name not in found:
                raise UnknownModelError(
                    f"failed to load {quote(name)}: the models folder holds no such model; "
                    f"models: {quote_names(list(found))}"
                )
            if config is not None:
                self._configs[name] = override_config(config, self._options.defaults)
            else:
                self._configs.pop(name, None)
            self._unloaded.discard(name)
            refusals = self._update(name, found[name])
            self.room.unloaded.discard(name)
        for version, refused in refusals.items():
            raise type(refused)(f"{format_label(name, version)} is refused: {refused}", refused.detail)

    def unload(self, name: str) -> list[ServedModel]:
        """Unload the name until it is loaded again, and return the versions that it served.

        Raises `UnknownModelError` if the folder has no such model.
        """
        with self._lock:
            entries = self._entries(name)
            if not entries:
                raise UnknownModelError(f"Request for unknown model: {quote(name)} is not found")
            self._unloaded.add(name)
            self.room.unloaded.discard(name)
            self._configs.pop(name, None)
            stopped = self._catalogue.replace(
                name, {}, [IndexEntry(name, entry.version, "UNLOADING", "") for entry in entries]
            )
            self._forget(stopped)
            return stopped

    def finish_unload(self, name: str) -> None:
        """Mark the name's versions as unloaded in the index, unless it has been loaded again."""
        with self._lock:
            if name in self._unloaded:
                entries = [
                    IndexEntry(name, entry.version, "UNAVAILABLE", "unloaded")
                    for entry in self._entries(name)
                ]
                self._catalogue.set_entries(name, entries)

    def is_expected(self, name: str) -> bool:
        """Whether the name should answer: it was there at the start or has answered, and was not unloaded.

        A folder that turns up later and holds no usable model does not make the server unready.
        """
        return name in self._expected and name not in self._unloaded | self.room.unloaded

    def follow_folder(self) -> None:
        """Load what has changed since the last attempt, once it is unchanged between two calls.

        Raises `RepositoryError` if the folder cannot be read; all served models stay.
        """
        with self._lock:
            found = self._find()
            seen = {name: read_fingerprints(files) for name, files in found.items()}
            settled = {name for name, fingerprints in seen.items() if self._seen.get(name) == fingerprints}
            self._seen = seen
            for name in settled - self._unloaded:
                if self._tried.get(name) != seen[name]:
                    self._load_or_leave(name, found[name])
            for name in {entry.name for entry in self._catalogue.index()} - found.keys():
                self._drop(name)

    def _find(self) -> dict[str, list[ModelFile]]:
        """The folder's versions by name."""
        found: dict[str, list[ModelFile]] = {}
        for file in find_models(self._options.folder):
            found.setdefault(file.name, []).append(file)
        return found

    def _load_or_leave(self, name: str, files: Sequence[ModelFile]) -> None:
        """Load the name; with a budget of memory it may be left to a request."""
        self._update(name, files)

    def _forget_changed(self, name: str, fingerprints: Fingerprints) -> None:
        if self._tried.get(name, fingerprints) != fingerprints:
            self.room.forget(name)

    def _is_pinned(self, name: str, files: Sequence[ModelFile]) -> bool:
        try:
            return self.room.is_limited and self._read_config(name, files).pinned
        except ModelRefusedError:
            return False

    def _entries(self, name: str) -> list[IndexEntry]:
        return [entry for entry in self._catalogue.index() if entry.name == name]

    def _update(self, name: str, files: Sequence[ModelFile]) -> dict[str, ModelRefusedError]:
        """Why versions were refused; the others are served, and a refused one's older file if it served."""
        # Read before the files are: what changes meanwhile is tried again.
        fingerprints = read_fingerprints(files)
        self._forget_changed(name, fingerprints)
        self._tried[name] = fingerprints
        before = self._catalogue.served(name)
        refusals: dict[str, ModelRefusedError] = {}
        try:
            config = self._read_config(name, files)
        except ModelRefusedError as error:
            refusals = {file.version: error for file in files}
            log.error("model %s is refused: %s", quote(name), error)
            served, chosen = dict(before), list(files)
        else:
            chosen = self._choose_versions(name, files, config)
            self._announce_loading(name, chosen, before)
            served = {}
            for file in reversed(chosen):  # of those that a budget has no room for, the lowest are refused
                try:
                    stamp, old = (fingerprints[file.version], config), before.get(file.version)
                    served[file.version] = self._renew(file, old, stamp, [*served.values()])
                except ModelRefusedError as error:
                    refusals[file.version] = error
                    log.error("%s is refused: %s %s", format_label(name, file.version), error, error.detail)
                    if file.version in before:
                        served[file.version] = before[file.version]
        if served:
            self._expected.add(name)
        self._exchange(name, served, [make_entry(file, served, refusals) for file in chosen])
        return refusals

    def _read_config(self, name: str, files: Sequence[ModelFile]) -> ModelConfig:
        """The configuration of the load request, else of the model's file, else the engine's defaults."""
        if name in self._configs or all(file.bare for file in files):
            return self._configs.get(name, self._options.defaults)
        return read_config(self._options.folder / name / CONFIG_FILE, self._options.defaults)

    def _choose_versions(self, name: str, files: Sequence[ModelFile], config: ModelConfig) -> list[ModelFile]:
        """The versions to serve, lowest first: all, or the latest and those of aliases."""
        latest = files if config.latest is None else files[-config.latest :]
        aliased = self._catalogue.aliases(name).values()
        return [file for file in files if file in latest or file.version in aliased]

    def _announce_loading(
        self, name: str, files: Sequence[ModelFile], before: Mapping[str, ServedModel]
    ) -> None:
        versions = [file.version for file in files]
        entries = make_loading_entries(name, versions, before, on_demand=self.room.is_limited)
        self._catalogue.set_entries(name, entries)

    def _renew(
        self, file: ModelFile, old: ServedModel | None, stamp: Stamp, others: Sequence[ServedModel]
    ) -> ServedModel:
        """The old version if neither its files nor its configuration have changed, else a new one."""
        if old is not None and self._loaded.get(old) == stamp:
            return old
        self._hung.check(file, stamp[0])
        if self.room.is_limited:
            self.room.require_possible(count_needed(file, stamp[0]), others)
        try:
            new = self._loader.load(file, stamp[1])
            self.room.note(new)
            self.room.require_fit(new, others)
        except HungLoadError as error:
            self._hung.add(file, stamp[0], str(error))
            raise
        except ProviderError as error:
            if not self._has_started:
                raise
            # A device that is lost later is no reason to end what still serves.
            raise ModelRefusedError(str(error)) from error
        self._loaded[new] = stamp
        self._loader.choose_provider(file, stamp[1], new, partial(self._switch, file))
        return new

    def _switch(self, file: ModelFile, model: ServedModel, choice: ProviderChoiceRecord) -> None:
        """Let the model run on the provider that was chosen meanwhile, unless it is served no longer."""
        with self._lock:
            stamp = self._loaded.get(model)
            if stamp is None:
                return
            model.choice = choice
            if (choice.provider, choice.threads) == (model.provider, model.threads):
                return
            try:
                if read_fingerprint(file) != stamp[0]:
                    return  # what is there now is loaded by whoever follows the folder
                new = self._loader.load(file, stamp[1])
            except DrainingError:
                return
            except EngineError as error:
                log.warning(
                    "%s: provider `%s` was chosen and failed: %s", model.label, choice.provider, error
                )
                return
            if (new.provider, new.threads) == (model.provider, model.threads):
                model.choice = new.choice  # the chosen one failed
                return
            log.info("%s: runs on `%s` from now on: %s", model.label, new.provider, choice.verdict)
            self._loaded[new] = stamp
            served = {**self._catalogue.served(model.name), model.version: new}
            self.room.forget(model.name)  # another provider takes more or less
            for each in served.values():
                self.room.note(each)
            self._exchange(model.name, served, self._entries(model.name))

    def _drop(self, name: str) -> None:
        """Stop serving a name that the folder no longer holds."""
        self._exchange(name, {}, [])
        self.room.forget(name)
        self.room.unloaded.discard(name)
        self._expected.discard(name)
        self._unloaded.discard(name)
        self._configs.pop(name, None)
        self._tried.pop(name, None)

    def _exchange(self, name: str, served: Mapping[str, ServedModel], entries: Sequence[IndexEntry]) -> None:
        stopped = self._catalogue.replace(name, served, entries)
        self._forget(stopped)
        self._retire(stopped)

    def _forget(self, stopped: Sequence[ServedModel]) -> None:
        for model in stopped:
            self._loaded.pop(model, None)
