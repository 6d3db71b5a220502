"""What a server and its models say of themselves, by the protocol's names."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from serve.engine.signature import Signature, TensorSpec
from serve.protocol.modelconfig import PLATFORM

# Of the protocol's extensions, those that work here.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "parameters",
    "statistics",
)


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """The server's name, version, and the extensions of the protocol it has."""

    name: str = "adaptact"
    version: str = installed_version("adaptact")
    extensions: tuple[str, ...] = EXTENSIONS


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """An input or output; -1 in its shape is a size that may vary."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model's versions that can answer, lowest first, and its inputs and outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def write_metadata(name: str, versions: list[str], signature: Signature) -> ModelMetadata:
    """What the model takes and gives."""
    return ModelMetadata(name, versions, PLATFORM, _tensors(signature.inputs), _tensors(signature.outputs))


def _tensors(specs: Sequence[TensorSpec]) -> list[TensorMetadata]:
    return [TensorMetadata(spec.name, spec.datatype.name, spec.dims) for spec in specs]
