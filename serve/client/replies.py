"""What a server says, typed, and read from its JSON with an error that names the field."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Never, TypeAlias

from serve.client.errors import InvalidReplyError
from serve.engine.signature import Array

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class JsonObject:
    """A JSON object of a reply, whose fields are asked for by type; all raise `InvalidReplyError`."""

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, dict):
            raise _make_error(where, "an object", value)
        self._fields = value
        self._where = where

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def text(self, name: str, default: str | None = None) -> str:
        """A string; the default, where there is one and the field is missing or null."""
        value = self._fields.get(name)
        value = default if value is None else value
        return value if isinstance(value, str) else self._refuse(name, "a string")

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number, not below -1; the default, where there is one and the field is missing or null."""
        value = self._fields.get(name)
        value = default if value is None else value
        return value if type(value) is int and value >= -1 else self._refuse(name, "a whole number")

    def wholes(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers, none below -1."""
        found = self._list(name)
        numbers = tuple(each for each in found if type(each) is int and each >= -1)
        return numbers if len(numbers) == len(found) else self._refuse(name, "a list of whole numbers")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where it is missing or null."""
        found = [] if self._fields.get(name) is None else self._list(name)
        texts = tuple(each for each in found if isinstance(each, str))
        return texts if len(texts) == len(found) else self._refuse(name, "a list of strings")

    def values(self, name: str) -> list[Json]:
        """A list of anything."""
        return self._list(name)

    def object(self, name: str) -> "JsonObject":
        """An object; empty where it is missing or null."""
        value = self._fields.get(name)
        return JsonObject({} if value is None else value, f"{self._where}.{name}")

    def objects(self, name: str) -> Iterator["JsonObject"]:
        """A list of objects; empty where it is missing or null."""
        found = [] if self._fields.get(name) is None else self._list(name)
        return (JsonObject(each, f"{self._where}.{name}[{place}]") for place, each in enumerate(found))

    def plain(self) -> dict[str, Json]:
        """All fields."""
        return self._fields

    def _list(self, name: str) -> list[Json]:
        value = self._fields.get(name)
        return value if isinstance(value, list) else self._refuse(name, "a list")

    def _refuse(self, name: str, expected: str) -> Never:
        raise _make_error(f"{self._where}.{name}", expected, self._fields.get(name))


def parse(body: bytes | bytearray | memoryview) -> Json:
    """The JSON value; raises `InvalidReplyError`."""
    try:
        value: Json = json.loads(bytes(body))
    except (ValueError, RecursionError) as error:
        raise InvalidReplyError(
            f"the reply is not JSON ({error}); it begins with {bytes(body[:80])!r}"
        ) from error
    return value


def _make_error(where: str, expected: str, got: Json) -> InvalidReplyError:
    return InvalidReplyError(f"`{where}` is not {expected}, got `{repr(got)[:80]}`")


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


def read_server_metadata(said: JsonObject) -> ServerMetadata:
    """What `GET /v2` says."""
    return ServerMetadata(said.text("name"), said.text("version"), said.texts("extensions"))


def read_model_metadata(said: JsonObject) -> ModelMetadata:
    """What `GET /v2/models/{model}` says."""
    return ModelMetadata(
        said.text("name"),
        said.texts("versions"),
        said.text("platform", ""),
        tuple(map(_read_tensor, said.objects("inputs"))),
        tuple(map(_read_tensor, said.objects("outputs"))),
    )


def read_model_state(said: JsonObject) -> ModelState:
    """One entry of `POST /v2/repository/index`."""
    return ModelState(
        said.text("name"), said.text("version", ""), said.text("state", "UNKNOWN"), said.text("reason", "")
    )


def read_model_statistics(said: JsonObject) -> ModelStatistics:
    """One entry of `GET /v2/models/stats`."""
    durations = said.object("inference_stats")
    return ModelStatistics(
        said.text("name"),
        said.text("version", ""),
        said.whole("last_inference", 0),
        said.whole("inference_count", 0),
        said.whole("execution_count", 0),
        {name: _read_duration(durations.object(name)) for name in durations.plain()},
    )


def read_predictions(said: JsonObject) -> Predictions:
    """What `POST /v1/models/{model}:predict` says."""
    return Predictions(said.values("predictions"), said.texts("labels"))


def _read_tensor(said: JsonObject) -> TensorMetadata:
    return TensorMetadata(said.text("name"), said.text("datatype"), said.wholes("shape"))


def _read_duration(said: JsonObject) -> Duration:
    return Duration(said.whole("count", 0), said.whole("ns", 0))
