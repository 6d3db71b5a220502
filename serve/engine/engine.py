"""The engine: models by name and version, and `infer`, the only door to them."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from serve.engine.errors import (
    ModelRefusedError,
    ModelUnavailableError,
    RepositoryError,
    UnknownModelError,
    listed,
    quoted,
)
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.providers import Provider, choose_providers
from serve.engine.repository import check_loadable, find_models
from serve.engine.session import Session, SessionOptions
from serve.engine.signature import Array, elements

log = logging.getLogger("adaptact")


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How models are loaded and run: cores for one run, runs at once, and the largest file taken."""

    provider: Provider
    threads: int
    concurrency: int
    model_limit_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """A version that is in the repository and cannot be served, with a reason that may be shown to anyone."""

    name: str
    version: str
    reason: str


class Engine:
    """Every model that a folder holds, ready to run."""

    def __init__(
        self, models: Sequence[ServedModel], failures: Sequence[Failure], metrics: Metrics, concurrency: int
    ) -> None:
        """Serve these models with at most `concurrency` long runs at once."""
        self.metrics = metrics
        self.failures = tuple(failures)
        self._versions: dict[str, dict[str, ServedModel]] = {}
        for model in sorted(models, key=lambda each: (each.name, int(each.version))):
            self._versions.setdefault(model.name, {})[model.version] = model
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="adaptact-run")

    def names(self) -> list[str]:
        """The names of the models that can answer, in order."""
        return list(self._versions)

    def versions(self, name: str) -> list[str]:
        """The versions of a model that can answer, lowest first; raises like `model`."""
        return list(self._versions_of(name))

    def model(self, name: str, version: str | None = None) -> ServedModel:
        """The version asked for, or the highest; raises `UnknownModelError` or `ModelUnavailableError`."""
        versions = self._versions_of(name, version)
        if version is None:
            return next(reversed(versions.values()))
        if version in versions:
            return versions[version]
        self._raise_if_failed(name, version)
        raise UnknownModelError(
            f"Request for unknown model: {quoted(name)} version {quoted(version)} is not found; "
            f"versions: {listed(list(versions))}"
        )

    async def infer(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None = None,
    ) -> dict[str, Array]:
        """The outputs asked for, or all, by name, in the order asked; the event loop runs only short models.

        Raises like `model`, then `InvalidInputError`, before anything runs; `RunFailedError` after.
        """
        model = self.model(name, version)
        chosen = model.signature.choose_outputs(outputs)
        model.signature.check_inputs(inputs)
        size = elements(inputs)
        asked = perf_counter()
        if model.cost.is_short(size):
            started = asked
            arrays = model.run(inputs, chosen)
            ended = perf_counter()
        else:
            started, arrays, ended = await asyncio.get_running_loop().run_in_executor(
                self._pool, _timed_run, model, inputs, chosen
            )
        model.cost.observe(size, ended - started)
        model.metrics.queue.observe(started - asked)
        model.metrics.compute.observe(ended - started)
        model.metrics.batch_size.observe(_rows(inputs))
        return dict(zip(chosen, arrays, strict=True))

    def close(self) -> None:
        """End the runs in progress and release the threads."""
        for versions in self._versions.values():
            for model in versions.values():
                model.stop()
        self._pool.shutdown(cancel_futures=True)

    def _versions_of(self, name: str, version: str | None = None) -> dict[str, ServedModel]:
        versions = self._versions.get(name)
        if versions is None:
            self._raise_if_failed(name, version)
            raise UnknownModelError(
                f"Request for unknown model: {quoted(name)} is not found; models: {listed(self.names())}"
            )
        return versions

    def _raise_if_failed(self, name: str, version: str | None) -> None:
        for failure in self.failures:
            if failure.name == name and version in (None, failure.version):
                raise ModelUnavailableError(
                    f"model {quoted(name)} version {quoted(failure.version)} is not ready: {failure.reason}"
                )


def open_engine(folder: Path, options: EngineOptions, metrics: Metrics) -> Engine:
    """An engine with every model of the folder that loads.

    Raises `RepositoryError` if none does, `ProviderError` if the provider is not there.
    """
    session_options = SessionOptions(options.threads, tuple(choose_providers(options.provider)))
    models, failures = [], []
    for entry in find_models(folder):
        ready = metrics.ready.labels(entry.name, entry.version)
        try:
            check_loadable(folder, entry, options.model_limit_bytes)
            session = Session(entry.path, session_options)
            models.append(ServedModel(entry.name, entry.version, session, metrics))
            ready.set(1)
        except ModelRefusedError as refused:
            log.error("model `%s` version `%s`: %s %s", entry.name, entry.version, refused, refused.detail)
            failures.append(Failure(entry.name, entry.version, str(refused)))
    if not models:
        reasons = "; ".join(f"`{f.name}` version `{f.version}`: {f.reason}" for f in failures)
        raise RepositoryError(f"no model in `{folder}` can be served: {reasons}")
    return Engine(models, failures, metrics, options.concurrency)


def _timed_run(
    model: ServedModel, inputs: Mapping[str, Array], outputs: Sequence[str]
) -> tuple[float, list[Array], float]:
    started = perf_counter()
    arrays = model.run(inputs, outputs)
    return started, arrays, perf_counter()


def _rows(inputs: Mapping[str, Array]) -> int:
    """The size of the first dimension of the first input: by custom the batch."""
    first = next(iter(inputs.values()), None)
    return first.shape[0] if first is not None and first.ndim else 1
