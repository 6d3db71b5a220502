"""Typed replies of a server, read from JSON with an error that names the wrong field."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Never, TypeAlias

from serve.client.errors import InvalidReplyError
from serve.engine.signature import Array
from serve.engine.statistics import BatchStatistics, Duration, InferStatistics, VersionStatistics
from serve.protocol.descriptions import (
    DescribedPart,
    ModelMetadata,
    ServerMetadata,
    SizeMetadata,
    TensorMetadata,
)

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"


class JsonObject:
    """A JSON object of a reply, whose fields are read by type; every read raises `InvalidReplyError`."""

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
        values = self._list(name)
        numbers = tuple(value for value in values if type(value) is int and value >= -1)
        return numbers if len(numbers) == len(values) else self._refuse(name, "a list of whole numbers")

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings; empty where it is missing or null."""
        values = [] if self._fields.get(name) is None else self._list(name)
        texts = tuple(value for value in values if isinstance(value, str))
        return texts if len(texts) == len(values) else self._refuse(name, "a list of strings")

    def values(self, name: str) -> list[Json]:
        """A list of anything."""
        return self._list(name)

    def object(self, name: str) -> "JsonObject":
        """An object; empty where it is missing or null."""
        value = self._fields.get(name)
        return JsonObject({} if value is None else value, f"{self._where}.{name}")

    def objects(self, name: str) -> Iterator["JsonObject"]:
        """A list of objects; empty where it is missing or null."""
        values = [] if self._fields.get(name) is None else self._list(name)
        return (JsonObject(value, f"{self._where}.{name}[{index}]") for index, value in enumerate(values))

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
class ModelState:
    """One line of the repository's index; `state` is READY, UNAVAILABLE, LOADING, UNLOADING or UNKNOWN."""

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelStatistics(VersionStatistics):
    """What a version of a model has done since it was loaded; zeros where the server does not say."""

    @property
    def last_inference_ms(self) -> int:
        """When it last ran, in milliseconds since 1970; 0 for never."""
        return self.last_inference

    @property
    def durations(self) -> Mapping[str, Duration]:
        """The requests and their stages by the protocol's names."""
        return {field.name: getattr(self.inference_stats, field.name) for field in fields(InferStatistics)}


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
    truncated: tuple[int, ...] = ()
    """The places of the texts that were cut, as the model's tokenizer says."""


def read_server_metadata(reply: JsonObject) -> ServerMetadata:
    """The reply to `GET /v2`."""
    return ServerMetadata(reply.text("name"), reply.text("version"), reply.texts("extensions"))


def read_model_metadata(reply: JsonObject) -> ModelMetadata:
    """The reply to `GET /v2/models/{model}`."""
    return ModelMetadata(
        reply.text("name"),
        reply.texts("versions"),
        reply.text("platform", ""),
        tuple(map(_read_tensor, reply.objects("inputs"))),
        tuple(map(_read_tensor, reply.objects("outputs"))),
        reply.text("parity", "") or None,
        tuple(map(_read_size, reply.objects("sizes"))) or None,
        _read_description(reply.object("description")) or None,
        dict(reply.object("parameters").plain()) or None,
    )


def read_model_state(reply: JsonObject) -> ModelState:
    """One entry of `POST /v2/repository/index`."""
    return ModelState(
        reply.text("name"),
        reply.text("version", ""),
        reply.text("state", "UNKNOWN"),
        reply.text("reason", ""),
    )


def read_model_statistics(reply: JsonObject) -> ModelStatistics:
    """One entry of `GET /v2/models/stats`."""
    return ModelStatistics(
        name=reply.text("name"),
        version=reply.text("version", ""),
        last_inference=reply.whole("last_inference", 0),
        inference_count=reply.whole("inference_count", 0),
        execution_count=reply.whole("execution_count", 0),
        inference_stats=InferStatistics(**_read_durations(reply.object("inference_stats"), InferStatistics)),
        batch_stats=[
            BatchStatistics(batch.whole("batch_size", 0), **_read_durations(batch, BatchStatistics))
            for batch in reply.objects("batch_stats")
        ],
    )


def read_predictions(reply: JsonObject) -> Predictions:
    """The reply to `POST /v1/models/{model}:predict`."""
    truncated = reply.wholes("truncated") if "truncated" in reply else ()
    return Predictions(reply.values("predictions"), reply.texts("labels"), truncated)


def _read_tensor(reply: JsonObject) -> TensorMetadata:
    return TensorMetadata(reply.text("name"), reply.text("datatype"), reply.wholes("shape"))


def _read_description(reply: JsonObject) -> dict[str, DescribedPart]:
    parts = {name: reply.object(name) for name in reply.plain()}
    return {
        name: DescribedPart(part.plain().get("value"), part.text("origin", ""))
        for name, part in parts.items()
    }


def _read_size(reply: JsonObject) -> SizeMetadata:
    high = reply.whole("high", -1)
    return SizeMetadata(
        reply.text("input"),
        reply.whole("axis"),
        reply.whole("low", 0),
        None if high < 0 else high,
        reply.whole("multiple", 1),
    )


def _read_durations(reply: JsonObject, kind: type[InferStatistics | BatchStatistics]) -> dict[str, Duration]:
    """The durations among the record's fields; zeros for those that the server does not have."""
    durations = {field.name: reply.object(field.name) for field in fields(kind) if field.type is Duration}
    return {
        name: Duration(value.whole("count", 0), value.whole("ns", 0)) for name, value in durations.items()
    }
