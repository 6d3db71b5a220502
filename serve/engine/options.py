"""How an engine is opened: everything that it is told, in one place."""

from dataclasses import dataclass, field
from pathlib import Path

from serve.engine.config import ModelConfig
from serve.engine.policies import Policies
from serve.engine.providers import CudaOptions, Provider


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which models are served, how they are run, and what is required of them."""

    folder: Path
    """The models folder, in Triton's layout."""
    provider: Provider = "cpu"
    threads: int = 1
    """Cores that one run may use."""
    concurrency: int = 1
    """Long runs at once, of all models together."""
    model_limit_bytes: int = 2 * 2**30
    """The largest model file that is taken."""
    poll_seconds: float = 0.0
    """How often the folder is looked at for changes; 0 never does."""
    may_start_empty: bool = False
    """Whether an engine may be opened that serves nothing yet; one that polls always may."""
    defaults: ModelConfig = field(default_factory=ModelConfig)
    """What a model without a `config.toml` is served by."""
    policies: Policies = field(default_factory=Policies)
    cuda: CudaOptions = field(default_factory=CudaOptions)
    state_folder: Path | None = None
    """Where aliases are kept; without it they last as long as the engine."""
    triton_names: bool = False
    """Whether what is counted is shown under Triton's names too."""
    drain_seconds: float = 30.0
    """How long an old version may finish what it has, before its runs are ended."""
