"""The protocol's descriptions of the server and of models; the client reads them too."""

from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

# The protocol's extensions that this server has.
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
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SizeMetadata:
    """A size of an input that varies within bounds: a multiple of `multiple` from `low` to `high`."""

    input: str
    axis: int
    low: int
    high: int | None
    """None where there is no limit."""
    multiple: int


@dataclass(frozen=True, slots=True)
class DescribedPart:
    """A part of what describes a model, such as the names of its classes, and where the server read it."""

    value: Any
    origin: str
    """The name of a file beside the model, or `description` or `manifest` in the model's own file."""


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model's versions that can answer, lowest first, and its inputs and outputs.

    `parity` is strong, weak or unknown, and None of a file without a manifest. `sizes` are those that vary
    within bounds, and `description` is what is known besides the graph: classes, columns, preprocessing,
    outputs, tokenizer; both are None where there are none. `parameters` say what the model runs on, and how
    that was chosen where it was measured. gRPC's message lacks these four.
    """

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    parity: str | None = None
    sizes: tuple[SizeMetadata, ...] | None = None
    description: dict[str, DescribedPart] | None = None
    parameters: dict[str, Any] | None = None
