"""The engine: models by name and version, and `infer`, the only door to them."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, perf_counter, sleep

from serve.engine.catalogue import Aliases, Catalogue
from serve.engine.errors import (
    DeadlineExceededError,
    DrainingError,
    EngineError,
    InvalidInputError,
    RepositoryError,
    StartupError,
)
from serve.engine.exposition import expose
from serve.engine.joining import rows_of
from serve.engine.memory import give_back
from serve.engine.metrics import Metrics
from serve.engine.model import Loader, ServedModel
from serve.engine.options import EngineOptions
from serve.engine.repository import MODEL_FILE, SUFFIX
from serve.engine.rollout import Rollout
from serve.engine.runner import Runner
from serve.engine.signature import Array, elements
from serve.engine.states import ModelState, ModelStatistics

log = logging.getLogger("adaptact")

LOOK_SECONDS = 0.01  # how often it is looked whether the last request has its answer


class Engine:
    """Every model that a folder holds, ready to run.

    Made by `open_engine`. It belongs to one event loop, which loading does not hold up.
    """

    def __init__(self, options: EngineOptions, metrics: Metrics) -> None:
        """Nothing is loaded yet; raises `ProviderError` or `StateError`."""
        self.metrics = metrics
        self._options = options
        self._catalogue = Catalogue(Aliases(options.state_folder), metrics)
        self._rollout = Rollout(options, Loader(options, metrics), self._catalogue, self._retire_aside)
        self._runner = Runner(options.concurrency)
        # The allocator keeps memory for each thread that asked for some, so only one does for models.
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="adaptact-load")
        self._draining = False
        self._closed = threading.Event()
        expose(metrics, self.own_statistics, options.triton_names)

    def names(self) -> list[str]:
        """The names of the models that can answer, in order."""
        return self._catalogue.names()

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can answer, lowest first; raises like `model`."""
        return list(self._catalogue.served(name)) or [self.model(name).version]

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The version of this number or alias; without one `stable`'s, or where that is not set the highest.

        Raises `UnknownModelError` or `ModelUnavailableError`.
        """
        return self._catalogue.model(name, version)

    def index(self) -> list[ModelState]:
        """Every version in the repository, by name and then by version."""
        return self._catalogue.index()

    @property
    def ready(self) -> bool:
        """Whether every name that was not unloaded can answer, and new requests are taken."""
        return not self._draining and all(
            self._catalogue.can_answer(each.name) or self._rollout.is_unloaded(each.name)
            for each in self._catalogue.index()
        )

    async def infer(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """What `run` gives, of the model that `model` finds; raises like both."""
        return await self.run(self.model(name, version), inputs, outputs, timeout_seconds=timeout_seconds)

    async def run(
        self,
        model: ServedModel,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """The outputs asked for, or all, by name, in the order asked; the event loop runs only short models.

        A model that was replaced meanwhile still answers those who had found it. Raises `DrainingError`, and
        `InvalidInputError`, `QueueFullError` or `DeadlineExceededError`, before anything runs;
        `InvalidInputError`, `DeadlineExceededError` or `RunFailedError` after. Cancelled, it ends the run.
        """
        asked = perf_counter()
        try:
            if self._draining:
                raise _draining()
            chosen = model.signature.choose_outputs(outputs)
            model.signature.check_inputs(inputs)
            rows = rows_of(inputs)
            if timeout_seconds is not None or model.config.request_rows:
                _check_limits(model, rows, timeout_seconds)
            size = elements(inputs)
            if model.cost.is_short(size):
                started = perf_counter()
                arrays = model.run(inputs, chosen)
                ended = perf_counter()
                model.cost.observe(size, ended - started)
                model.metrics.count_alone(rows, ended - started, ended)
            else:
                arrays = await self._runner.run(model, inputs, chosen, timeout_seconds)
        except (EngineError, asyncio.CancelledError):
            model.metrics.count_failure(perf_counter() - asked)
            raise
        return dict(zip(chosen, arrays, strict=True))

    async def load(self, name: str, config: Mapping[str, object] | None = None) -> None:
        """Load what is new or changed of the name, by this configuration or its `config.toml`'s.

        What served before does so until the new is warm, and finishes what it has. Raises
        `UnknownModelError`, or `ModelRefusedError` for a version that will not be served.
        """
        if self._draining:
            raise _draining()
        await asyncio.get_running_loop().run_in_executor(self._loading, self._rollout.load, name, config)

    async def unload(self, name: str) -> None:
        """Take no more requests for the name, and free it once those that it has are answered.

        It stays unloaded until `load`. Raises `UnknownModelError`.
        """
        if self._draining:
            raise _draining()
        loop = asyncio.get_running_loop()
        stopped = await loop.run_in_executor(self._loading, self._rollout.unload, name)
        await asyncio.to_thread(self._retire, stopped)
        await loop.run_in_executor(self._loading, self._rollout.unloaded, name)

    def aliases(self, name: str) -> dict[str, str]:
        """The model's aliases and the version that each means; none for a name that is not known."""
        return self._catalogue.aliases(name)

    async def set_alias(self, name: str, alias: str, version: str) -> None:
        """Let the alias mean the version; raises `AliasError`, or `StateError` where it cannot be kept."""
        self._catalogue.set_alias(name, alias, version)

    async def remove_alias(self, name: str, alias: str) -> None:
        """Forget the alias; raises `AliasError` where there is none, or `StateError`."""
        self._catalogue.remove_alias(name, alias)

    async def statistics(self, name: str | None = None, version: str | None = None) -> list[ModelStatistics]:
        """What versions have done: of all, of a model, or of one version; raises like `model`."""
        return self.own_statistics(name, version)

    def own_statistics(self, name: str | None = None, version: str | None = None) -> list[ModelStatistics]:
        """The same, of this engine alone where several share the work."""
        if name is None:
            models = [model for each in self.names() for model in self._catalogue.served(each).values()]
        elif version is None:
            models = [self.model(name, each) for each in self.versions(name)]
        else:
            models = [self.model(name, version)]
        return [model.metrics.statistics(self._runner.waiting(model)) for model in models]

    def pending(self) -> int:
        """How many requests wait or run."""
        return self._runner.pending()

    async def drain(self, seconds: float) -> None:
        """Take no new requests, and return once the last is answered; after so many seconds end the rest."""
        self._draining = True
        end = monotonic() + seconds
        while self._runner.pending() and monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        self._runner.stop()

    def close(self) -> None:
        """End the runs in progress and release the threads."""
        self._draining = True
        self._closed.set()
        self._loading.shutdown(cancel_futures=True)
        self._runner.close()

    def _begin(self) -> None:
        """Load everything; raises `RepositoryError` where nothing can be served and nothing will come."""
        self._loading.submit(self._rollout.begin).result()
        if self._options.poll_seconds:
            threading.Thread(target=self._poll, name="adaptact-poll", daemon=True).start()
        elif not self.names() and not self._options.may_start_empty:
            folder, refused = self._options.folder, self.index()
            if refused:
                raise RepositoryError(
                    f"no model in `{folder}` can be served: {'; '.join(map(_told, refused))}"
                )
            raise RepositoryError(
                f"models folder `{folder}` holds no model; "
                f"expected `<name>/<version>/{MODEL_FILE}` or `<name>{SUFFIX}`"
            )

    def _poll(self) -> None:
        while not self._closed.wait(self._options.poll_seconds):
            try:
                self._loading.submit(self._rollout.follow).result()
            except Exception as error:
                if not self._closed.is_set():
                    unforeseen = not isinstance(error, StartupError)
                    log.error("%s; what is served stays", error, exc_info=unforeseen)

    def _retire_aside(self, stopped: list[ServedModel]) -> None:
        if stopped:
            threading.Thread(target=self._retire, args=[stopped], name="adaptact-retire", daemon=True).start()

    def _retire(self, stopped: list[ServedModel]) -> None:
        """Let the versions finish what they have, then free them; the list is empty after."""
        end = monotonic() + self._options.drain_seconds
        while stopped:
            if not self._runner.pending(stopped[-1]):
                # Whoever found it just before it was replaced may still come, and is served.
                stopped.pop()
            elif monotonic() < end:
                sleep(LOOK_SECONDS)
            else:
                self._runner.stop(stopped.pop())
        give_back()


def _check_limits(model: ServedModel, rows: int, timeout_seconds: float | None) -> None:
    limit = model.config.request_rows
    if limit and rows > limit:
        raise InvalidInputError(f"{model.called} takes at most {limit} rows in a request, got {rows}")
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise DeadlineExceededError(f"{model.called}: the request's time was over when it came")


def _draining() -> DrainingError:
    return DrainingError("the server is about to end, and takes no new requests")


def _told(state: ModelState) -> str:
    return f"`{state.name}` version `{state.version}`: {state.reason}"


def open_engine(
    options: EngineOptions, metrics: Metrics, made: Callable[[EngineOptions, Metrics], Engine] = Engine
) -> Engine:
    """An engine with every model of the folder that loads.

    Raises `RepositoryError` if none does and none may come, `ProviderError` if the provider is not there,
    `StateError` if the aliases cannot be read.
    """
    engine = made(options, metrics)
    try:
        engine._begin()
    except StartupError:
        engine.close()
        raise
    return engine
