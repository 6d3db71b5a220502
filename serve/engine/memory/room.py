"""Which models are unloaded for want of memory, and whether another one fits beside those that are loaded."""

from collections.abc import Iterable

from serve.engine.errors import ModelRefusedError
from serve.engine.memory.amounts import ModelMemory, add_up, expect_memory, format_size
from serve.engine.memory.options import MemoryOptions
from serve.engine.model import ServedModel
from serve.engine.repository import Fingerprint


class ModelRoom:
    """One process's view; `options` are None where models may take what they like."""

    def __init__(self, options: MemoryOptions | None) -> None:
        """Nothing is loaded or unloaded."""
        self.options = options
        self.unloaded: set[str] = set()
        """The names that a request loads again."""
        self._measured: dict[str, ModelMemory] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self.options is not None

    def expect(self, name: str, files: Iterable[Fingerprint]) -> ModelMemory:
        """What the versions with these files take: as measured, if the model was loaded before."""
        if name in self._measured:
            return self._measured[name]
        least = None if self.options is None else self.options.least_shared_bytes
        return add_up(
            expect_memory(size, is_shared=least is not None and size >= least) for size in map(_count, files)
        )

    def note(self, name: str, served: Iterable[ServedModel]) -> None:
        """Remember what the model's versions take."""
        if amounts := [model.memory for model in served]:
            self._measured[name] = add_up(amounts)

    def forget(self, name: str) -> None:
        """Its files have changed, or are gone."""
        self._measured.pop(name, None)

    def admits(self, name: str, files: Iterable[Fingerprint], served: Iterable[ServedModel]) -> bool:
        """Whether it may be loaded beside these; also where only loading it says whether it ever may."""
        files, others = list(files), [model.memory for model in served]
        if self.options is None or not others or self._is_too_large(name, files):
            return True
        taken = add_up([*others, self.expect(name, files)])
        return taken.count(self.options.processes) <= self.options.limit_bytes

    def require_possible(self, name: str, files: Iterable[Fingerprint]) -> None:
        """Raise `ModelRefusedError` where the model alone takes more than there is for all."""
        files = list(files)
        if self.options is not None and self._is_too_large(name, files):
            least = format_size(self._find_least(name, files))
            limit = format_size(self.options.limit_bytes)
            raise ModelRefusedError(f"it takes at least {least}; `--model-memory` is {limit}")

    def require_fit(self, memory: ModelMemory) -> None:
        """Raise `ModelRefusedError` where a version that was just loaded takes more than there is for all."""
        if (
            self.options is not None
            and (size := memory.count(self.options.processes)) > self.options.limit_bytes
        ):
            limit = format_size(self.options.limit_bytes)
            raise ModelRefusedError(f"it takes {format_size(size)}; `--model-memory` is {limit}")

    def _is_too_large(self, name: str, files: Iterable[Fingerprint]) -> bool:
        return self.options is not None and self._find_least(name, files) > self.options.limit_bytes

    def _find_least(self, name: str, files: Iterable[Fingerprint]) -> int:
        """What it takes for certain: as measured, else its weights once for each who has some of its own."""
        assert self.options is not None
        if name in self._measured:
            return self._measured[name].count(self.options.processes)
        least = self.options.least_shared_bytes
        return sum(
            size if least is not None and size >= least else size * self.options.processes
            for size in map(_count, files)
        )


def _count(files: Fingerprint) -> int:
    return sum(max(size, 0) for _, size, *_ in files)
