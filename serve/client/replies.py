"""What a server says, typed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve.client.fields import Fields, Json
from serve.engine.signature import Array


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """The server's name, version, and the extensions of the protocol it has."""

    name: str
    version: str
    extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """An input or output; -1 in its shape is a size that may vary."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """A model's versions, inputs and outputs."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


@dataclass(frozen=True, slots=True)
class ModelState:
    """One line of the repository's index; `state` is READY, UNAVAILABLE, LOADING, UNLOADING or UNKNOWN."""

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Duration:
    """How often something was done, and how long that took in all, in nanoseconds."""

    count: int
    ns: int


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """What a version of a model has done since it was loaded; `durations` by the protocol's names."""

    name: str
    version: str
    last_inference_ms: int
    inference_count: int
    execution_count: int
    durations: Mapping[str, Duration]


@dataclass(frozen=True, slots=True)
class InferResult:
    """A model's outputs by name, and who answered; `result["y"]` is the output `y`."""

    outputs: Mapping[str, Array]
    model_name: str
    model_version: str
    id: str
    parameters: Mapping[str, Json] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        return self.outputs[name]


@dataclass(frozen=True, slots=True)
class Predictions:
    """A prediction for each instance, and its likeliest class where the model names its classes."""

    predictions: list[Json]
    labels: tuple[str, ...]


def server_metadata(said: Fields) -> ServerMetadata:
    """What `GET /v2` says."""
    return ServerMetadata(said.text("name"), said.text("version"), said.texts("extensions"))


def model_metadata(said: Fields) -> ModelMetadata:
    """What `GET /v2/models/{model}` says."""
    return ModelMetadata(
        said.text("name"),
        said.texts("versions"),
        said.text("platform", ""),
        tuple(map(_tensor, said.objects("inputs"))),
        tuple(map(_tensor, said.objects("outputs"))),
    )


def model_state(said: Fields) -> ModelState:
    """One entry of `POST /v2/repository/index`."""
    return ModelState(
        said.text("name"), said.text("version", ""), said.text("state", "UNKNOWN"), said.text("reason", "")
    )


def model_statistics(said: Fields) -> ModelStatistics:
    """One entry of `GET /v2/models/stats`."""
    durations = said.object("inference_stats")
    return ModelStatistics(
        said.text("name"),
        said.text("version", ""),
        said.whole("last_inference", 0),
        said.whole("inference_count", 0),
        said.whole("execution_count", 0),
        {name: _duration(durations.object(name)) for name in durations.plain()},
    )


def predictions(said: Fields) -> Predictions:
    """What `POST /v1/models/{model}:predict` says."""
    return Predictions(said.values("predictions"), said.texts("labels"))


def _tensor(said: Fields) -> TensorMetadata:
    return TensorMetadata(said.text("name"), said.text("datatype"), said.wholes("shape"))


def _duration(said: Fields) -> Duration:
    return Duration(said.whole("count", 0), said.whole("ns", 0))
