"""Which models are unloaded for want of memory, and whether another one fits beside those that are loaded."""

from collections.abc import Iterable, Mapping

from serve.engine.errors import ModelRefusedError
from serve.engine.memory.amounts import ModelMemory, add_up, expect_memory, format_size
from serve.engine.memory.options import MemoryOptions
from serve.engine.model import ServedModel


class ModelRoom:
    """One process's view; `options` are None where models may take what they like."""

    def __init__(self, options: MemoryOptions | None) -> None:
        """Nothing is loaded or unloaded."""
        self.options = options
        self.unloaded: set[str] = set()
        """The names that a request loads again."""
        self._measured: dict[str, dict[str, ModelMemory]] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self.options is not None

    def expect(self, name: str, sizes: Mapping[str, int]) -> ModelMemory:
        """What the versions with files of these sizes take: as measured, if they were loaded before."""
        measured = self._measured.get(name, {})
        return add_up(
            measured.get(version) or expect_memory(size, is_shared=self._is_shared(size))
            for version, size in sizes.items()
        )

    def note(self, model: ServedModel) -> None:
        """Remember what was measured of it, or take the least that ever was of these files.

        What is more than that, requests have taken while it was loaded.
        """
        measured = self._measured.setdefault(model.name, {})
        before, now = measured.get(model.version, model.memory), model.memory
        least = ModelMemory(min(before.shared, now.shared), min(before.own, now.own))
        measured[model.version] = model.memory = least

    def forget(self, name: str) -> None:
        """Its files have changed, or are gone."""
        self._measured.pop(name, None)

    def admits(self, name: str, sizes: Mapping[str, int], served: Iterable[ServedModel]) -> bool:
        """Whether it may be loaded beside these; also where each of its versions will be refused."""
        others = [model.memory for model in served]
        if self.options is None or not others:
            return True
        if all(self._count_least(size) > self.options.limit_bytes for size in sizes.values()):
            return True
        taken = add_up([*others, self.expect(name, sizes)])
        return taken.count(self.options.processes) <= self.options.limit_bytes

    def require_possible(self, size: int, others: Iterable[ServedModel]) -> None:
        """Raise `ModelRefusedError` where a version with files of this size cannot fit beside its model's."""
        if self.options is not None:
            self._require(self._count_least(size), others, "at least ")

    def require_fit(self, model: ServedModel, others: Iterable[ServedModel]) -> None:
        """Raise `ModelRefusedError` where a version that was just loaded does not fit beside its model's."""
        if self.options is not None:
            self._require(model.memory.count(self.options.processes), others)

    def _require(self, size: int, others: Iterable[ServedModel], at_least: str = "") -> None:
        assert self.options is not None
        taken = add_up(model.memory for model in others).count(self.options.processes)
        if size + taken > self.options.limit_bytes:
            beside = f" beside {format_size(taken)} of its other versions" if taken else ""
            limit = format_size(self.options.limit_bytes)
            raise ModelRefusedError(
                f"it takes {at_least}{format_size(size)}{beside}; `--model-memory` is {limit}"
            )

    def _count_least(self, size: int) -> int:
        """What files of this size take for certain: once for each process that has some of its own."""
        assert self.options is not None
        return size if self._is_shared(size) else size * self.options.processes

    def _is_shared(self, size: int) -> bool:
        least = None if self.options is None else self.options.least_shared_bytes
        return least is not None and size >= least
