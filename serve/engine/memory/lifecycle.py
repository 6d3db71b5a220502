"""Models that are unloaded for others, and loaded again once they are asked for."""

import logging
from collections.abc import Sequence

from serve.engine.errors import ModelRefusedError, quote
from serve.engine.index_entries import make_unloaded_entries
from serve.engine.lifecycle import ModelLifecycle
from serve.engine.memory.amounts import ModelMemory
from serve.engine.model import ServedModel
from serve.engine.model_files import count_needed
from serve.engine.repository import ModelFile, read_fingerprints

log = logging.getLogger("adaptact")


class OnDemandLifecycle(ModelLifecycle):
    """What a budget of memory needs beside loading and unloading as an operator asks for it."""

    def expect_memory(self, name: str) -> ModelMemory:
        """What the model takes once it is loaded; nothing for an unknown name."""
        return self.room.expect(name, self._count_versions(name, self._find().get(name, [])))

    def evict(self, name: str) -> list[ServedModel]:
        """Unload the name until `demand`, and return the versions that it served."""
        with self._lock:
            served = self._catalogue.served(name)
            if not served:
                return []
            self.room.unloaded.add(name)
            refused = [entry for entry in self._entries(name) if entry.version not in served]
            entries = [*make_unloaded_entries(name, served), *refused]
            stopped = self._catalogue.replace(name, {}, entries)
            self._forget(stopped)
            return stopped

    def demand(self, name: str) -> bool:
        """Load the name if `evict` or a lack of memory has unloaded it; whether it had."""
        with self._lock:
            if name not in self.room.unloaded:
                return False
            if files := self._find().get(name):
                self._update(name, files)
            else:
                self._drop(name)
            self.room.unloaded.discard(name)
            return True

    def _load_or_leave(self, name: str, files: Sequence[ModelFile]) -> None:
        """Load or refuse the name, or leave it to a request where there is no memory for it."""
        fingerprints = read_fingerprints(files)
        self._forget_changed(name, fingerprints)
        sizes = self._count_versions(name, files)
        others = [other for other in self._catalogue.names() if other != name]
        served = [model for other in others for model in self._catalogue.served(other).values()]
        fits = name not in self.room.unloaded and self.room.admits(name, sizes, served)
        if fits or not sizes or self._catalogue.served(name):
            self._update(name, files)
            return
        if self._is_pinned(name, files):
            log.warning(
                "model %s is pinned and not loaded: `--model-memory` has no room for it; a request loads it",
                quote(name),
            )
        self._tried[name] = fingerprints
        self.room.unloaded.add(name)
        self._catalogue.set_entries(name, make_unloaded_entries(name, sizes))

    def _count_versions(self, name: str, files: Sequence[ModelFile]) -> dict[str, int]:
        """How large the files of each version are that would be loaded; of none if the model is refused."""
        try:
            config = self._read_config(name, files)
        except ModelRefusedError:
            return {}
        chosen = self._choose_versions(name, files, config)
        fingerprints = read_fingerprints(chosen)
        return {file.version: count_needed(file, fingerprints[file.version]) for file in chosen}
