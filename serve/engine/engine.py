"""The engine: models by name and version, all run through `Engine.run`."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from serve.engine.admission import check_limits
from serve.engine.aliases import AliasStore
from serve.engine.catalogue import Catalogue, IndexEntry
from serve.engine.choosing.collector import ProviderCollector
from serve.engine.collectors import register_collectors
from serve.engine.errors import (
    DrainingError,
    EngineError,
    QueueFullError,
    RepositoryError,
    StartupError,
)
from serve.engine.hung_files import HungFile
from serve.engine.joining import count_rows
from serve.engine.loop_runs import LoopRuns
from serve.engine.memory.budget import MemoryBudget
from serve.engine.memory.collector import MemoryCollector
from serve.engine.memory.lifecycle import OnDemandLifecycle
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.model_loader import ModelLoader
from serve.engine.options import EngineOptions
from serve.engine.repository import MODEL_FILE, SUFFIX
from serve.engine.retirement import Retirement
from serve.engine.run_memory import RunMemory
from serve.engine.run_queue import RunQueue
from serve.engine.signature import Array, count_elements
from serve.engine.statistics import VersionStatistics
from serve.engine.watch import Watch

ENDING = "the server is about to end, and takes no new requests"

log = logging.getLogger("adaptact")


class Engine:
    """Every model of a folder, ready to run.

    Made by `open_engine`. It belongs to one event loop, which loading does not block.
    """

    def __init__(self, options: EngineOptions, metrics: Metrics) -> None:
        """Start without models; raises `ProviderError` or `StateError`."""
        self.metrics = metrics
        self._options = options
        self._catalogue = Catalogue(AliasStore(options.state_folder), metrics)
        self._loader = ModelLoader(options, metrics)
        self._loop_runs = LoopRuns()
        self._run_queue = RunQueue(options.concurrency, options.cores)
        self._retirement = Retirement(self._run_queue, options.drain_seconds)
        self._lifecycle = OnDemandLifecycle(options, self._loader, self._catalogue, self._retirement.begin)
        self._run_memory = RunMemory()
        self._watch = Watch((self._loop_runs.check, self._run_queue.check))
        # Changes of what is served take place one after the other, off the event loop.
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="adaptact-change")
        self.memory = MemoryBudget(
            self._catalogue, self._lifecycle, self._run_queue, self._retirement, self._changes
        )
        """Which models are loaded, where all together may take only so much."""
        self.is_ending = False
        """Whether it is about to end: then it is not ready, and changes no model."""
        self._closed = threading.Event()
        metrics.registry.register(ProviderCollector(self._served))
        if options.memory is not None:
            metrics.registry.register(MemoryCollector(options.memory, self.memory, self._served))
        register_collectors(
            metrics, self.own_statistics, self.queue_depths, triton_names=options.triton_names
        )

    def names(self) -> list[str]:
        """The names of the models that can answer, in order."""
        return self._catalogue.names()

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can answer, lowest first; raises like `model`."""
        return list(self._catalogue.served(name)) or [self.model(name).version]

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The version with this number or alias; by default that of the alias `stable`, else the highest.

        Raises `UnknownModelError` or `ModelUnavailableError`.
        """
        return self._catalogue.model(name, version)

    def index(self) -> list[IndexEntry]:
        """Every version in the repository, by name and then by version."""
        return self._catalogue.index()

    @property
    def ready(self) -> bool:
        """Whether every name that is expected to answer can, and new requests are accepted."""
        return not self.is_ending and all(
            self._catalogue.can_answer(entry.name) or not self._lifecycle.is_expected(entry.name)
            for entry in self._catalogue.index()
        )

    @property
    def stuck(self) -> str | None:
        """Why this process should be replaced, since something in it cannot be ended; else None."""
        return self._run_queue.stuck or self._loader.stuck

    def hung_files(self) -> tuple[HungFile, ...]:
        """The files whose loading did not end, for the options of the engine that replaces this one."""
        return self._lifecycle.hung_files()

    async def run(
        self,
        model: ServedModel,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """The requested outputs, or all, by name and in the requested order.

        A short run takes place on the event loop, a longer run in a thread. A model that was replaced
        after the caller looked it up still answers. Raises `DrainingError`, `InvalidInputError`,
        `QueueFullError` or `DeadlineExceededError` before anything runs; `InvalidInputError`,
        `DeadlineExceededError` or `RunFailedError` after. Cancelling the call ends the run.
        """
        received = perf_counter()
        try:
            if self._closed.is_set():
                raise DrainingError(ENDING)
            chosen = model.signature.choose_outputs(outputs)
            model.signature.check_inputs(inputs)
            rows = count_rows(inputs)
            if timeout_seconds is not None or model.config.request_rows:
                check_limits(model, rows, timeout_seconds)
            size = count_elements(inputs)
            arrays = None
            if model.cost.is_short(size):
                arrays = self._loop_runs.run(model, inputs, chosen, rows, size)
            if arrays is None:
                arrays = await self._run_queue.run(model, inputs, chosen, timeout_seconds)
                self._run_memory.note(model, size, arrays)
        except (EngineError, asyncio.CancelledError):
            model.metrics.count_failure(perf_counter() - received)
            raise
        observer = model.observer
        if observer is not None and observer.choose():
            observer.take(inputs, chosen, arrays)
        return dict(zip(chosen, arrays, strict=True))

    def refuse(self, model: ServedModel) -> QueueFullError | None:
        """The refusal of a further request to the model, before it is read; None if there is room for it."""
        return self._run_queue.refuse(model)

    async def load(self, name: str, config: Mapping[str, object] | None = None) -> None:
        """Load new or changed versions of the name, with this configuration or that of its `config.toml`.

        The old versions serve until the new ones are warm, and finish their requests. Raises
        `UnknownModelError`, or `ModelRefusedError` for a version that will not be served.
        """
        if self.is_ending:
            raise DrainingError(ENDING)
        await asyncio.get_running_loop().run_in_executor(self._changes, self._load, name, config)

    def _load(self, name: str, config: Mapping[str, object] | None) -> None:
        self.memory.make_room(name)
        self._lifecycle.load(name, config)

    async def unload(self, name: str) -> None:
        """Refuse new requests for the name, and free it after its running requests are answered.

        It stays unloaded until `load`. Raises `UnknownModelError`.
        """
        if self.is_ending:
            raise DrainingError(ENDING)
        loop = asyncio.get_running_loop()
        stopped = await loop.run_in_executor(self._changes, self._lifecycle.unload, name)
        await asyncio.to_thread(self._retirement.finish, stopped)
        await loop.run_in_executor(self._changes, self._lifecycle.finish_unload, name)

    def aliases(self, name: str) -> dict[str, str]:
        """The model's aliases and the version of each; none for an unknown name."""
        return self._catalogue.aliases(name)

    def alias_since(self, name: str) -> int:
        """When the alias `stable` of the model was last changed, in microseconds since 1970; 0 for never."""
        return self._catalogue.alias_since(name)

    async def set_alias(self, name: str, alias: str, version: str, at: int | None = None) -> None:
        """Point the alias at the version, as from `at`; raises `AliasError`, `StateError` if not stored."""
        self.point_alias(name, alias, version, at)

    def point_alias(self, name: str, alias: str, version: str | None, at: int | None = None) -> None:
        """As `set_alias`, in this process, from any thread; changes later than `at` (µs since 1970) stay.

        Without a version the alias is gone.
        """
        self._catalogue.set_alias(name, alias, version, at)

    async def remove_alias(self, name: str, alias: str, at: int | None = None) -> None:
        """Remove the alias, as from `at`; raises `AliasError` if it does not exist, or `StateError`."""
        self._catalogue.remove_alias(name, alias, at)

    async def statistics(
        self, name: str | None = None, version: str | None = None
    ) -> list[VersionStatistics]:
        """The statistics of all versions, of a model's, or of one; raises like `model`."""
        return self.own_statistics(name, version)

    def own_statistics(self, name: str | None = None, version: str | None = None) -> list[VersionStatistics]:
        """The statistics of this process alone, without the other workers'."""
        if name is None:
            models = self._served()
        elif version is None:
            models = [self.model(name, number) for number in self.versions(name)]
        else:
            models = [self.model(name, version)]
        return [model.metrics.statistics() for model in models]

    def queue_depths(self) -> dict[tuple[str, str], int]:
        """The number of waiting requests by name and version."""
        return {(model.name, model.version): self._run_queue.count_waiting(model) for model in self._served()}

    def count_pending(self) -> int:
        """The number of requests that wait or run."""
        return self._run_queue.count_pending()

    def count_running(self) -> Mapping[ServedModel, int]:
        """The number of requests in the runs that take place in threads, by model."""
        return self._run_queue.count_running()

    def announce_end(self) -> None:
        """From now on it is not ready and changes no model; requests that still come are answered."""
        self.is_ending = True

    def close(self) -> None:
        """End the runs in progress and release the threads."""
        self.is_ending = True
        self._closed.set()
        self._loader.close()
        self._changes.shutdown(cancel_futures=True)
        self._run_queue.close()
        self._watch.close()

    def _start(self) -> None:
        """Load everything; raises `RepositoryError` if nothing can be served, unless `may_start_empty`."""
        self._changes.submit(self._lifecycle.load_all).result()
        if self._options.poll_seconds:
            threading.Thread(target=self._poll, name="adaptact-poll", daemon=True).start()
        elif not self.names() and not self._options.may_start_empty:
            folder, reasons = self._options.folder, "; ".join(map(_describe, self.index()))
            if reasons:
                raise RepositoryError(f"no model in `{folder}` can be served: {reasons}")
            raise RepositoryError(
                f"models folder `{folder}` holds no model; "
                f"expected `<name>/<version>/{MODEL_FILE}` or `<name>{SUFFIX}`"
            )

    def _served(self) -> list[ServedModel]:
        return [model for name in self.names() for model in self._catalogue.served(name).values()]

    def _poll(self) -> None:
        while not self._closed.wait(self._options.poll_seconds):
            try:
                self._changes.submit(self._lifecycle.follow_folder).result()
            except Exception as error:
                if not self._closed.is_set():
                    unexpected = not isinstance(error, StartupError)
                    log.error("%s; what is served stays", error, exc_info=unexpected)


def open_engine(
    options: EngineOptions,
    metrics: Metrics,
    engine_class: Callable[[EngineOptions, Metrics], Engine] = Engine,
) -> Engine:
    """An engine with every model of the folder that can be loaded.

    Raises `RepositoryError` if none can, unless `may_start_empty`; `ProviderError` without the provider; and
    `StateError` if the aliases cannot be read.
    """
    engine = engine_class(options, metrics)
    try:
        engine._start()
    except BaseException:  # a signal too: what is loading would hold up the end of the process
        engine.close()
        raise
    return engine


def _describe(entry: IndexEntry) -> str:
    return f"`{entry.name}` version `{entry.version}`: {entry.reason}"
