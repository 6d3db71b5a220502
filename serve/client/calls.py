"""The calls that a server answers: what is sent, and how the reply is read; without a connection."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Generic, TypeAlias, TypeVar, get_args
from urllib.parse import quote

import numpy as np

from serve.client import replies
from serve.client.errors import InvalidInputError, InvalidReplyError
from serve.client.replies import (
    InferResult,
    Json,
    JsonObject,
    ModelState,
    ModelStatistics,
    Predictions,
    parse,
)
from serve.client.tensors import Encoding, describe_tensors, join_message, read_tensors
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, ServerMetadata

JSON_BYTES = "inference-header-content-length"
OK = frozenset({int(HTTPStatus.OK)})
# The protocol's servers that are not ready answer: Triton 400, others 503.
READY_OR_NOT = OK | {int(HTTPStatus.BAD_REQUEST), int(HTTPStatus.SERVICE_UNAVAILABLE)}
THERE_OR_NOT = READY_OR_NOT | {int(HTTPStatus.NOT_FOUND)}

T = TypeVar("T")
Instance: TypeAlias = "Array | bytes | Mapping[str, Array | bytes | Json] | Json"


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: its bytes, their type, and how many of them are JSON if others follow."""

    content: bytes = b""
    json_bytes: int | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came, with its headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


@dataclass(frozen=True, slots=True)
class ClientCall(Generic[T]):
    """A call and how its reply is read. `write` takes the seconds that are left, None for any number.

    A `repeatable` call may be sent again although the server may have answered it already.
    """

    method: str
    path: str
    read: Callable[[Reply], T]
    write: Callable[[float | None], Body] = lambda _: Body()
    repeatable: bool = True
    answers: frozenset[int] = OK
    headers: Mapping[str, str] = field(default_factory=dict)


def live() -> ClientCall[bool]:
    """Whether the server runs."""
    return ClientCall("GET", "/v2/health/live", _is_ok, answers=READY_OR_NOT)


def ready(model: str | None, version: str | None) -> ClientCall[bool]:
    """Whether the server, or the model, can answer."""
    if model is None:
        return ClientCall("GET", "/v2/health/ready", _is_ok, answers=READY_OR_NOT)
    return ClientCall("GET", f"{_model_path(model, version)}/ready", _is_ok, answers=THERE_OR_NOT)


def server() -> ClientCall[ServerMetadata]:
    """What the server is."""
    return ClientCall("GET", "/v2", lambda reply: replies.read_server_metadata(_read_fields(reply)))


def model(name: str, version: str | None) -> ClientCall[ModelMetadata]:
    """What the model takes and gives."""
    return ClientCall(
        "GET", _model_path(name, version), lambda reply: replies.read_model_metadata(_read_fields(reply))
    )


def manifest(name: str, version: str | None) -> ClientCall[dict[str, Json]]:
    """The evidence in the model's file."""
    return ClientCall(
        "GET", f"{_model_path(name, version)}/manifest", lambda reply: _read_fields(reply).plain()
    )


def config(name: str, version: str | None) -> ClientCall[dict[str, Json]]:
    """How the server runs the model."""
    return ClientCall(
        "GET", f"{_model_path(name, version)}/config", lambda reply: _read_fields(reply).plain()
    )


def aliases(name: str) -> ClientCall[dict[str, str]]:
    """The model's aliases."""
    return ClientCall(
        "GET",
        f"/adaptact/v1/models/{_quote_name(name)}/aliases",
        lambda reply: _read_aliases(_read_fields(reply)),
    )


def index() -> ClientCall[tuple[ModelState, ...]]:
    """Every model of the repository, and its state."""
    return ClientCall(
        "POST", "/v2/repository/index", lambda reply: _read_list(parse(reply.body), replies.read_model_state)
    )


def load(name: str) -> ClientCall[None]:
    """Load the model, or load it again."""
    return ClientCall("POST", f"/v2/repository/models/{_quote_name(name)}/load", _ignore, repeatable=False)


def unload(name: str) -> ClientCall[None]:
    """Unload the model."""
    return ClientCall("POST", f"/v2/repository/models/{_quote_name(name)}/unload", _ignore, repeatable=False)


def statistics(name: str | None, version: str | None) -> ClientCall[tuple[ModelStatistics, ...]]:
    """What the models, or one of them, have done."""
    path = "/v2/models/stats" if name is None else f"{_model_path(name, version)}/stats"
    return ClientCall("GET", path, lambda reply: tuple(_read_statistics(_read_fields(reply))))


def infer(  # noqa: PLR0913  # each argument is a field of the message
    name: str,
    inputs: Mapping[str, Array],
    *,
    version: str | None,
    outputs: Sequence[str],
    encoding: Encoding,
    request_id: str | None,
    parameters: Mapping[str, str | int | float | bool],
) -> ClientCall[InferResult]:
    """The model's outputs for these inputs."""
    if encoding not in get_args(Encoding):
        raise InvalidInputError(f"encoding `{encoding}` is none of `binary` and `json`")
    with _require_writable():
        tensors = describe_tensors(inputs, encoding)
        options: dict[str, Json] = {"binary_data_output": encoding == "binary", **parameters}
    head: dict[str, Json] = {"inputs": list(tensors.described)}
    if request_id is not None:
        head["id"] = request_id
    if outputs:
        head["outputs"] = [{"name": output} for output in outputs]

    def write(left_seconds: float | None) -> Body:
        timeout = {} if left_seconds is None else {"timeout": max(1, int(left_seconds * 1e6))}
        with _require_writable():
            content, size = join_message({**head, "parameters": {**timeout, **options}}, tensors)
        return Body(content, size if tensors.tail else None)

    return ClientCall("POST", f"{_model_path(name, version)}/infer", read_infer_result, write)


def predict(name: str, instances: Sequence[Instance], version: str | None) -> ClientCall[Predictions]:
    """A prediction for each instance."""
    with _require_writable():
        content = json.dumps({"instances": [_encode_instance(instance) for instance in instances]}).encode()
    path = (
        "/v1/models/" + _quote_name(name) + ("" if version is None else f"/versions/{_quote_name(version)}")
    )
    return ClientCall(
        "POST",
        f"{path}:predict",
        lambda reply: replies.read_predictions(_read_fields(reply)),
        lambda _: Body(content, None),
    )


def read_infer_result(reply: Reply) -> InferResult:
    """The outputs that a reply holds."""
    size = reply.headers.get(JSON_BYTES)
    whole = memoryview(reply.body)
    if size is None:
        size = str(len(whole))
    if not (size.isascii() and size.isdigit() and len(size) < 19 and int(size) <= len(whole)):
        raise InvalidReplyError(f"the reply of {len(whole)} bytes says that `{size[:40]}` of them are JSON")
    message = JsonObject(parse(whole[: int(size)]), "reply")
    return InferResult(
        read_tensors(message.objects("outputs"), whole[int(size) :], "output"),
        message.text("model_name", ""),
        message.text("model_version", ""),
        message.text("id", ""),
        message.object("parameters").plain(),
    )


def _encode_instance(value: Instance) -> Json:
    """The instance as JSON; bytes, such as an image's, as an object with their base64."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray | np.generic):
        plain: Json = value.tolist()
        return plain
    if isinstance(value, Mapping):
        return {name: _encode_instance(part) for name, part in value.items()}
    return [_encode_instance(part) for part in value] if isinstance(value, list) else value


def _read_aliases(reply: JsonObject) -> dict[str, str]:
    return {alias.text("alias"): alias.text("version") for alias in reply.objects("aliases")}


def _read_statistics(reply: JsonObject) -> list[ModelStatistics]:
    return [replies.read_model_statistics(entry) for entry in reply.objects("model_stats")]


def _read_list(value: Json, read: Callable[[JsonObject], T]) -> tuple[T, ...]:
    return tuple(read(entry) for entry in JsonObject({"index": value}, "reply").objects("index"))


def _read_fields(reply: Reply) -> JsonObject:
    return JsonObject(parse(reply.body), "reply")


def _is_ok(reply: Reply) -> bool:
    return reply.status == HTTPStatus.OK


def _ignore(_: Reply) -> None:
    return None


def _model_path(name: str, version: str | None) -> str:
    return f"/v2/models/{_quote_name(name)}" + (
        "" if version is None else f"/versions/{_quote_name(version)}"
    )


def _quote_name(text: str) -> str:
    """The name as one part of a path."""
    if text in ("", ".", ".."):
        raise InvalidInputError(f"`{text}` cannot be the name of a model or version")
    with _require_writable():
        return quote(text, safe="")


@contextmanager
def _require_writable() -> Iterator[None]:
    """What cannot be written, such as half of a surrogate pair, raises `InvalidInputError`."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"the request cannot be written: {error}") from error
