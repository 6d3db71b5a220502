"""The options of an engine, and the policies that every model's file must meet."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from adaptact.providers.catalogue import ProviderChoice
from adaptact.text import escape_line
from convert.manifest.entries import MANIFEST_KEY
from serve.engine.config import ModelConfig
from serve.engine.cores import CoreCounts
from serve.engine.errors import PolicyError
from serve.engine.hung_files import HungFile
from serve.engine.memory.options import MemoryOptions
from serve.engine.model_files import ModelFiles
from serve.engine.providers import CudaOptions
from serve.engine.weights.options import WeightsOptions

if TYPE_CHECKING:
    from convert.manifest.manifest import Manifest, ParityRecord
    from serve.engine.model import ServedModel
    from serve.engine.run_observer import RunObserver
    from serve.engine.session import Session

Observe: TypeAlias = "Callable[[ServedModel, Callable[[Sequence[str]], Session]], RunObserver | None]"
"""Makes the observer of a version; the second argument loads it again, with these tensors as outputs too."""


@dataclass(frozen=True, slots=True)
class Policies:
    """The requirements on every served file; none by default."""

    require_parity: bool = False
    """A manifest whose parity report has outputs, all of which passed."""
    require_strong_parity: bool = False
    """The same, and that the samples showed what the model computes: there is no reason to call it weak."""
    require_signature: Path | None = None
    """The PEM file of the Ed25519 public key that must have signed it."""

    def check_signature(self, files: ModelFiles) -> None:
        """Raise `PolicyError` unless the key, where one is required, has signed the file's bytes."""
        if self.require_signature is None:
            return
        from convert.errors import SignatureError, UsageError  # noqa: PLC0415  a server without policies does not need them
        from convert.manifest.signature import verify  # noqa: PLC0415

        try:
            verify(files.content, self.require_signature)
        except SignatureError as error:
            raise PolicyError(f"a signature is required, and {error}") from error
        except UsageError as error:
            raise PolicyError("a signature is required, and cannot be checked", str(error)) from error

    def check_evidence(self, files: ModelFiles, metadata: Mapping[str, str]) -> None:
        """Raise `PolicyError` unless the manifest, and the weights beside the file, are as required."""
        requires_parity = self.require_parity or self.require_strong_parity
        if not (requires_parity or self.require_signature):
            return
        from convert.errors import SignatureError  # noqa: PLC0415  a server without policies does not need them
        from convert.manifest.decode import ManifestError  # noqa: PLC0415
        from convert.manifest.manifest import Manifest  # noqa: PLC0415
        from convert.manifest.signature import require_data  # noqa: PLC0415

        digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.sidecars.items()}
        try:
            manifest = Manifest.from_json(metadata[MANIFEST_KEY]) if MANIFEST_KEY in metadata else None
            require_data(manifest.data if manifest else None, digests)
        except ManifestError as error:
            raise PolicyError("its manifest cannot be read", str(error)) from error
        except SignatureError as error:
            raise PolicyError(str(error)) from error
        if requires_parity:
            _check_parity(manifest)
        if self.require_strong_parity and manifest is not None:
            _check_strength(manifest.parity)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Which models are served, how they run, and which policies they must meet."""

    folder: Path
    """The models folder, in Triton's layout."""
    provider: ProviderChoice = "cpu"
    provider_seconds: float = 1.0
    """How long the providers may be timed on one model, where they are measured."""
    threads: int = 1
    """Cores that one run may use."""
    concurrency: int = 1
    """Long runs at once, of all models together."""
    cores: CoreCounts | None = None
    """The other processes' runs, of which more may be run here where they leave cores idle."""
    model_limit_bytes: int = 2 * 2**30
    """The largest model file that is loaded."""
    poll_seconds: float = 0.0
    """How often the folder is checked for changes; 0 for never."""
    may_start_empty: bool = False
    """Whether an engine without a model may be opened; one that polls always may."""
    defaults: ModelConfig = field(default_factory=ModelConfig)
    """The configuration of a model without a `config.toml`."""
    policies: Policies = field(default_factory=Policies)
    cuda: CudaOptions = field(default_factory=CudaOptions)
    state_folder: Path | None = None
    """Where aliases are stored; without it they last as long as the engine."""
    digests: bool = False
    """Whether models know the digest of their files, which are read once more for it."""
    triton_names: bool = False
    """Whether metrics have Triton's names too."""
    drain_seconds: float = 30.0
    """How long an old version may finish its requests, before its runs are ended."""
    load_seconds: float = 300.0
    """How long loading a version may take, before it is ended and the version refused."""
    observe: "Observe | None" = None
    """Who looks at the versions' runs."""
    weights: WeightsOptions | None = None
    """Where models share their weights with other processes; None where each has its own."""
    memory: MemoryOptions | None = None
    """What all models together may take; None for no limit."""
    hung_files: tuple[HungFile, ...] = ()
    """What an engine before this one found to hang while it loaded; refused without being tried."""


def _check_parity(manifest: "Manifest | None") -> None:
    if manifest is None or not manifest.parity.outputs:
        raise PolicyError(
            "parity is required, and the file's manifest shows none; convert it with `adaptact export`"
        )
    for output in manifest.parity.outputs:
        if not output.file_error <= output.allowed:
            raise PolicyError(
                f"parity is required, and output `{output.name}` has error {output.file_error:.3g}, "
                f"allowed {output.allowed:.3g}"
            )


def _check_strength(parity: "ParityRecord") -> None:
    if parity.strength == "unknown":
        raise PolicyError("strong parity is required, and the file is of a version that did not examine it")
    if parity.coverage is not None and parity.coverage.reasons:
        first, *others = parity.coverage.reasons
        more = f", and {len(others)} more reasons" if others else ""
        raise PolicyError(f"strong parity is required, and it is weak: {escape_line(first)}{more}")
