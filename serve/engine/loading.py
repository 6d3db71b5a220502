"""From a version's place in the folder to a model that can run."""

from serve.engine.config import ModelConfig
from serve.engine.files import read_files
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.options import EngineOptions
from serve.engine.providers import choose_providers
from serve.engine.repository import ModelFile, check_loadable
from serve.engine.session import Session, SessionOptions


class Loader:
    """Loads one version after the other, each by the same rules."""

    def __init__(self, options: EngineOptions, metrics: Metrics) -> None:
        """Choose the provider; raises `ProviderError` if it is not there."""
        self._options = options
        self._metrics = metrics
        self._session_options = SessionOptions(
            options.threads, tuple(choose_providers(options.provider)), options.cuda
        )

    def load(self, entry: ModelFile, config: ModelConfig) -> ServedModel:
        """The version, warm; raises `ModelRefusedError` where it will not be served, or `ProviderError`."""
        check_loadable(self._options.folder, entry)
        files = read_files(entry, self._options.model_limit_bytes)
        policies = self._options.policies
        policies.check_signature(files)
        session = Session(files, self._session_options)
        policies.check_evidence(files, session.metadata)
        metrics = self._metrics.of(entry.name, entry.version)
        return ServedModel(entry.name, entry.version, session, metrics, config)
