"""Models that share a budget of memory: loaded when they are asked for, unloaded when others are."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from time import monotonic
from typing import TypeVar

from serve.engine.catalogue import Catalogue
from serve.engine.errors import DrainingError, ModelUnloadedError, quote
from serve.engine.memory.lifecycle import OnDemandLifecycle
from serve.engine.memory.plan import Report, plan_room
from serve.engine.model import ServedModel
from serve.engine.retirement import Retirement
from serve.engine.run_queue import RunQueue

T = TypeVar("T")

WAIT_SECONDS = 2.0
"""A request waits so long for its model, where loading it is expected to take no longer."""
FIRST_SECONDS = 1.0  # expected of a load that was never timed


class MemoryBudget:
    """One process's part in what all do together; it belongs to one event loop."""

    def __init__(
        self,
        catalogue: Catalogue,
        lifecycle: OnDemandLifecycle,
        run_queue: RunQueue,
        retirement: Retirement,
        changes: Executor,
    ) -> None:
        """Nothing is loaded yet; `changes` are made in the executor, one after the other."""
        self._room, self._catalogue, self._lifecycle = lifecycle.room, catalogue, lifecycle
        self._run_queue, self._retirement, self._changes = run_queue, retirement, changes
        self.wanted: set[str] = set()
        """The names that are to be loaded, though no request waits for them."""
        self.pins: Callable[[], AbstractSet[str]] = frozenset
        """The names that experiments need now."""
        self.load_again: Callable[[str], Awaitable[None]] = self._load_again
        """Makes room for the model and loads it; another one where several processes do that together."""
        self._loading: dict[str, tuple[asyncio.Task[None], float]] = {}
        self._seconds: dict[str, float] = {}
        self.loads: dict[str, int] = {}
        self.evictions: dict[str, int] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget."""
        return self._room.is_limited

    def find(self, name: str, version: str | None) -> ServedModel | None:
        """As `Engine.model`; None for a model that `bring` loads."""
        try:
            return self._catalogue.model(name, version)
        except ModelUnloadedError:
            return None

    def require(self, name: str, version: str | None) -> ServedModel:
        """As `Engine.model`, from any thread; one that `bring` loads is loaded soon, though this fails."""
        try:
            return self._catalogue.model(name, version)
        except ModelUnloadedError:
            self.wanted.add(name)
            raise

    def load_wanted(self) -> None:
        """Begin to load what was required since the last call."""
        while self.wanted:
            self.begin_load(self.wanted.pop())

    def begin_load(self, name: str) -> "asyncio.Task[None]":
        """The load of a model that was unloaded for others: the one that goes on, or a new one."""
        if name not in self._loading:
            task = asyncio.ensure_future(self._time_load(name))
            task.add_done_callback(_take_error)  # where nobody waits for it any longer
            self._loading[name] = task, monotonic()
        return self._loading[name][0]

    async def bring(self, name: str, version: str | None) -> ServedModel:
        """The version of a model that was unloaded for others, once it is loaded again.

        All that ask for a model wait for the same load. Raises `ModelUnloadedError` where that takes long,
        and `DrainingError` where it will not be.
        """
        task = self.begin_load(name)
        began = self._loading[name][1]
        expected = self._seconds.get(name, FIRST_SECONDS)
        left = WAIT_SECONDS - (monotonic() - began)
        if expected <= WAIT_SECONDS and left > 0:
            await asyncio.wait([task], timeout=left)
        if not task.done():
            remaining = max(1.0, expected - (monotonic() - began))
            raise ModelUnloadedError(f"model {quote(name)} is being loaded; try again", remaining)
        if task.cancelled():
            raise DrainingError("the server is about to end, and loads nothing")
        task.result()
        return self._catalogue.model(name, version)

    def make_room(self, name: str) -> None:
        """Unload here what has to be for the model; raises `ModelUnloadedError` if that is not enough.

        It blocks, and is called where changes are made.
        """
        if self.is_limited:
            for victim in plan_room(name, [self._report(name)]):
                self._evict(victim)

    async def report(self, name: str) -> Report:
        """What this process says where the model is to be loaded."""
        return await asyncio.to_thread(self._report, name)

    async def evict(self, name: str) -> None:
        """Unload the model until it is asked for, and free it once its requests are answered."""
        await self._change(self._evict, name)

    async def demand(self, name: str) -> None:
        """Load the model if it was unloaded for others; why that failed is in the index."""
        await self._change(self._demand, name)

    async def _load_again(self, name: str) -> None:
        await self._change(self._load_in_room, name)

    def _load_in_room(self, name: str) -> None:
        self.make_room(name)
        self._demand(name)

    def _demand(self, name: str) -> None:
        if self._lifecycle.demand(name):
            self.loads[name] = self.loads.get(name, 0) + 1

    def _evict(self, name: str) -> None:
        if stopped := self._lifecycle.evict(name):
            self.evictions[name] = self.evictions.get(name, 0) + 1
            self._retirement.finish(stopped)

    def _report(self, name: str) -> Report:
        options = self._room.options
        if options is None:
            return {"limit": 0, "need": [0, 0], "models": {}}
        need, kept = self._lifecycle.expect_memory(name), {*self.pins(), *self._list_irreplaceable()}
        models = {
            other: self._describe([*self._catalogue.served(other).values()], is_kept=other in kept)
            for other in self._catalogue.names()
        }
        return {"limit": options.limit_bytes, "need": [need.shared, need.own], "models": models}

    def _list_irreplaceable(self) -> Iterator[str]:
        """The names that still serve an older file, of which nothing but the loaded model is left."""
        return (entry.name for entry in self._catalogue.index() if entry.state == "READY" and entry.reason)

    async def _time_load(self, name: str) -> None:
        began = monotonic()
        try:
            await self.load_again(name)
            self._seconds[name] = monotonic() - began
        finally:
            del self._loading[name]

    async def _change(self, change: Callable[[str], T], name: str) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._changes, change, name)

    def _describe(self, served: Sequence[ServedModel], *, is_kept: bool) -> list[int | bool]:
        times = [(model.metrics.last_milliseconds, model.loaded_milliseconds) for model in served]
        used = max(map(max, times), default=0)
        is_busy = any(self._run_queue.count_pending(model) for model in served)
        is_held = is_kept or is_busy or any(model.config.pinned for model in served)
        shared, own = (sum(getattr(model.memory, part) for model in served) for part in ("shared", "own"))
        return [shared, own, used, is_held]


def _take_error(task: "asyncio.Task[None]") -> None:
    if not task.cancelled():
        task.exception()
