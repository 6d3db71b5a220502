"""Loads versions of models from the models folder."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from weakref import ref

from adaptact.providers.catalogue import NAMES, ProviderName
from convert.manifest.providers import ProviderChoiceRecord
from serve.engine.choosing.chooser import ProviderChooser
from serve.engine.choosing.task import ChoiceTask
from serve.engine.config import ModelConfig
from serve.engine.description import describe_model
from serve.engine.errors import ModelRefusedError, PolicyError, StartupError, quote
from serve.engine.footprint import make_footprint
from serve.engine.loading import Cancellation, LoadThread
from serve.engine.memory.amounts import measure_memory, read_resident
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.model_files import ModelFiles, compute_digest, open_files
from serve.engine.options import EngineOptions
from serve.engine.providers import require_provider
from serve.engine.repository import Fingerprint, ModelFile, check_loadable, read_fingerprint
from serve.engine.session import Session, SessionOptions
from serve.engine.tokenizer_trial import require_known_tokens
from serve.engine.weights.prepacked import open_shared_weights

CHOICES = "providers"
"""In the state folder, where choices of providers are."""

log = logging.getLogger("adaptact")


class ModelLoader:
    """Loads versions, one at a time, all with the same provider, limits and policies."""

    def __init__(self, options: EngineOptions, metrics: Metrics) -> None:
        """Choose the provider; raises `ProviderError` if it is missing."""
        self._options = options
        self._metrics = metrics
        self._chooser: ProviderChooser | None = None
        if options.provider == "auto":
            self._chooser = ProviderChooser(options.state_folder and options.state_folder / CHOICES)
            self._session_options = SessionOptions(options.threads)
        else:
            require_provider(options.provider)
            self._session_options = SessionOptions(options.threads, options.provider, options.cuda)
        self._weights = open_shared_weights(options.weights, options.provider)
        self._thread = LoadThread(options.load_seconds)

    @property
    def stuck(self) -> str | None:
        """Which loads cannot be ended, None if there are none."""
        return self._thread.stuck

    def load(self, entry: ModelFile, config: ModelConfig) -> ServedModel:
        """The version, warmed up; on the CPU provider where it cannot be on the one that was chosen for it.

        Raises `ModelRefusedError` if it is refused or takes too long, `ProviderError`, or `DrainingError`.
        """
        label = f"model {quote(entry.name)} version {quote(entry.version)}"
        tried: list[tuple[ChoiceTask, ProviderChoiceRecord]] = []
        load = partial(self._load, entry, config, tried)
        try:
            return self._thread.run(label, load)
        except PolicyError:
            raise
        except StartupError as error:
            if self._chooser is None or not tried:
                raise
            reason = self._chooser.leave(*tried[0], error)
        log.warning("%s: %s", label, reason)
        try:
            return self._thread.run(label, load)
        except StartupError:
            self._chooser.forget(tried[0][0])  # it was not for the provider
            raise

    def close(self) -> None:
        """End the load that goes on, and load nothing more."""
        self._thread.close()
        if self._chooser is not None:
            self._chooser.close()

    def choose_provider(
        self,
        entry: ModelFile,
        config: ModelConfig,
        model: ServedModel,
        then: Callable[[ServedModel, ProviderChoiceRecord], None],
    ) -> None:
        """Find the provider that the model is to run on, where that is measured and not known yet.

        `then` is called in another thread, unless the model has gone: waiting does not keep it.
        A load with this configuration takes that provider from then on.
        """
        if self._chooser is not None and model.choice is None:
            task = self._make_task(entry, config, model.digest)
            self._chooser.request(task, model.manifest, partial(_call_with, ref(model), then))

    def _load(
        self,
        entry: ModelFile,
        config: ModelConfig,
        tried: list[tuple[ChoiceTask, ProviderChoiceRecord]],
        cancellation: Cancellation,
    ) -> ServedModel:
        """The version; what is `tried` has the choice of another provider than the CPU's, if there is one."""
        stamp = read_fingerprint(entry)
        before = read_resident() if self._options.memory is not None else None
        policies = self._options.policies
        with self._open_checked(entry) as files:
            weights = self._weights if self._weights is not None and self._weights.suits(files) else None
            digest = compute_digest(files) if self._options.digests or self._chooser or weights else ""
            task = self._make_task(entry, config, digest)
            opener = partial(weights.open, digest) if weights is not None else None
            choice = None if self._chooser is None else self._chooser.find(task)
            if choice is not None and choice.provider != "cpu":
                tried.append((task, choice))
            session = Session(files, self._choose_session(choice), cancellation, opener=opener)
            policies.check_evidence(files, session.metadata)
        del files  # with its weights, which count no longer
        session.describe(describe_model(entry, session.description, session.signature, cancellation))
        require_known_tokens(session.description.tokenizer, session, cancellation, config.run_seconds)
        metrics = self._metrics.for_version(entry.name, entry.version)
        model = ServedModel(entry.name, entry.version, session, metrics, config, cancellation)
        model.digest, model.choice = digest, choice
        if before is not None:
            is_shared = session.has_shared_weights
            model.memory = measure_memory(before, session.file_bytes, is_shared=is_shared)
        model.footprint = make_footprint(entry, self._options, model.provider, model.threads)
        if self._options.observe is not None:
            model.observer = self._options.observe(model, partial(self._load_again, entry, stamp))
        if (elsewhere := session.count_elsewhere()) > 0:
            log.warning("%s: %d of its operators run on the CPU's own kernels", model.label, elsewhere)
        if model.parity == "weak":
            log.warning("%s: its parity is weak; its manifest says why", model.label)
        return model

    def _make_task(self, entry: ModelFile, config: ModelConfig, digest: str) -> ChoiceTask:
        options = self._options
        about = entry.name, entry.version, str(entry.path.absolute()), entry.bare, digest
        limits = options.model_limit_bytes, options.threads, config.batch_rows, options.provider_seconds
        return ChoiceTask(*about, *limits, options.cuda, config.provider_rows)

    def _choose_session(self, choice: ProviderChoiceRecord | None) -> SessionOptions:
        if choice is None:
            return self._session_options
        provider: ProviderName = next((name for name in NAMES if name == choice.provider), "cpu")
        threads = max(1, min(choice.threads, self._options.threads))
        return SessionOptions(threads, provider, self._options.cuda)

    @contextmanager
    def _open_checked(self, entry: ModelFile) -> Iterator[ModelFiles]:
        """The version's files, signed as they have to be."""
        check_loadable(self._options.folder, entry)
        policies = self._options.policies
        is_private = policies.require_signature is not None
        with open_files(entry, self._options.model_limit_bytes, is_private=is_private) as files:
            policies.check_signature(files)
            yield files

    def _load_again(self, entry: ModelFile, stamp: Fingerprint, outputs: Sequence[str]) -> Session:
        """A further session of the same files, with these tensors as outputs too, on one core.

        Raises `ModelRefusedError` if the files have changed, or do not have the tensors.
        """
        with self._open_checked(entry) as files:
            if read_fingerprint(entry) != stamp:
                raise ModelRefusedError(f"`{entry.path.name}` has changed since it was loaded")
            return Session(files, SessionOptions(1), more_outputs=outputs)


def _call_with(
    model: "ref[ServedModel]",
    then: Callable[[ServedModel, ProviderChoiceRecord], None],
    choice: ProviderChoiceRecord,
) -> None:
    if (served := model()) is not None:
        then(served, choice)
