"""A model's metadata and configuration by the protocol's names, and the parsing of a configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from serve.engine.config import MAX_BATCH_ROWS, ModelConfig
from serve.engine.description import ModelDescription
from serve.engine.errors import ConfigError, MalformedRequestError, UnsupportedError, quote, quote_names
from serve.engine.joining import has_rows
from serve.engine.preprocessing import guess_layout
from serve.engine.signature import Signature, TensorSpec
from serve.protocol.descriptions import DescribedPart, ModelMetadata, SizeMetadata, TensorMetadata
from serve.protocol.json_text import Value, parse_object
from serve.protocol.parameters import MICROSECONDS, read_flag, read_parameters

PLATFORM = "onnxruntime_onnx"
BACKEND = "onnxruntime"
# The keys of the protocol whose value is the same for every model here.
FIXED: Mapping[str, Value] = {"platform": PLATFORM, "backend": BACKEND}
TRANSLATED = ("name", "max_batch_size", "version_policy", "dynamic_batching")
MAX_DIGITS = 18  # of any plausible number
KNOWN = [*FIXED, *TRANSLATED, *ModelConfig.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class TensorConfig:
    """An input or output; without the batch where `max_batch_size` is not 0.

    `format` is the layout of images in an input, as far as its sizes tell; outputs have none.
    """

    name: str
    data_type: str
    dims: list[int]
    format: str | None = None


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """How many requests may wait, and for how long."""

    max_queue_size: int
    default_timeout_microseconds: int
    timeout_action: Literal["REJECT"]
    allow_timeout_override: bool


@dataclass(frozen=True, slots=True)
class DynamicBatching:
    """How requests are joined."""

    max_queue_delay_microseconds: int
    default_queue_policy: QueuePolicy


@dataclass(frozen=True, slots=True)
class ModelConfiguration:
    """A model's configuration by the protocol's names; `dynamic_batching` only where requests are joined."""

    name: str
    platform: str
    backend: str
    max_batch_size: int
    input: list[TensorConfig]
    output: list[TensorConfig]
    version_policy: dict[str, dict[str, int]]
    dynamic_batching: DynamicBatching | None = None


def write_metadata(
    name: str,
    versions: Sequence[str],
    signature: Signature,
    parity: str | None = None,
    description: ModelDescription | None = None,
) -> ModelMetadata:
    """The model's inputs and outputs, their sizes' bounds, what its parity proves, and what describes it."""
    inputs, outputs = _write_tensors(signature.inputs), _write_tensors(signature.outputs)
    sizes = tuple(
        SizeMetadata(spec.name, axis, bounds.low, bounds.high, bounds.multiple)
        for spec in signature.inputs
        for axis, bounds in spec.bounds.items()
    )
    parts = {} if description is None else _write_description(description)
    return ModelMetadata(
        name, tuple(versions), PLATFORM, inputs, outputs, parity, sizes or None, parts or None
    )


def write_configuration(
    name: str, signature: Signature, config: ModelConfig, joins: bool
) -> ModelConfiguration:
    """The model's configuration, as a client sees it."""
    batched = has_rows(signature) and config.batching != "off"
    rows = (config.request_rows or config.batch_rows) if batched else 0
    policy = QueuePolicy(
        max_queue_size=config.queue_length,
        default_timeout_microseconds=int(config.queue_seconds * MICROSECONDS),
        timeout_action="REJECT",
        allow_timeout_override=True,
    )
    return ModelConfiguration(
        name=name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=rows,
        input=[_write_input(spec, batched=batched) for spec in signature.inputs],
        output=[_write_tensor(spec, batched=batched) for spec in signature.outputs],
        version_policy={"all": {}} if config.latest is None else {"latest": {"num_versions": config.latest}},
        dynamic_batching=DynamicBatching(0, policy) if joins else None,
    )


def read_load(model: str, request: Mapping[str, Value]) -> dict[str, Value] | None:
    """The configuration of a request to load, by the engine's names; None for the model's own.

    Raises `UnsupportedError` for files, `ConfigError` for an invalid configuration.
    """
    parameters = read_parameters("request", "", request.get("parameters"))
    if any(key.startswith("file:") for key in parameters):
        raise UnsupportedError("files are not taken over the network; put them into the models folder")
    config = parameters.get("config")
    if config is None:
        return None
    if not isinstance(config, str):
        raise MalformedRequestError("the request: parameter `config` is not a text that holds JSON")
    try:
        entries = parse_object(config.encode())
    except MalformedRequestError as error:
        raise ConfigError(
            f"failed to load {quote(model)}: the text in parameter `config` is not a JSON object"
        ) from error
    return read_configuration(model, entries)


def check_unload(request: Mapping[str, Value]) -> None:
    """Raise `MalformedRequestError` for an invalid request to unload; no model here has dependents."""
    parameters = read_parameters("request", "", request.get("parameters"))
    read_flag("request", "", parameters.get("unload_dependents", False), "unload_dependents")


def read_configuration(model: str, entries: Mapping[str, Value]) -> dict[str, Value]:
    """The configuration by the engine's names; keys that are the engine's already stay as they are."""
    read: dict[str, Value] = {}
    for key, value in entries.items():
        if key in FIXED or key == "name":
            expected = FIXED.get(key, model)
            if value not in (expected, ""):
                raise ConfigError(f"`{key}` is {quote(value)}, expected {quote(expected)}")
        elif key == "max_batch_size":
            read |= _read_rows(value)
        elif key == "version_policy":
            read["versions"] = _read_version_policy(value)
        elif key == "dynamic_batching":
            read |= {"batching": "on"} | _read_queue(value)
        elif key in ModelConfig.__dataclass_fields__:
            read[key] = value
        else:
            raise ConfigError(f"{quote(key)} cannot be configured; known: {quote_names(KNOWN)}")
    return read


def _write_description(description: ModelDescription) -> dict[str, DescribedPart]:
    return {key: DescribedPart(value, description.origins[key]) for key, value in description.show().items()}


def _write_tensor(spec: TensorSpec, *, batched: bool) -> TensorConfig:
    name = "STRING" if spec.datatype.name == "BYTES" else spec.datatype.name
    return TensorConfig(
        name=spec.name, data_type=f"TYPE_{name}", dims=spec.dims[1:] if batched else spec.dims
    )


def _write_input(spec: TensorSpec, *, batched: bool) -> TensorConfig:
    tensor = _write_tensor(spec, batched=batched)
    return replace(tensor, format=f"FORMAT_{guess_layout(tensor.dims) or 'NONE'}")


def _read_rows(value: Value) -> dict[str, Value]:
    # Some clients write the number as a text.
    text = str(value)
    digits = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    if isinstance(value, bool) or not digits or int(text) > MAX_BATCH_ROWS:
        raise ConfigError(
            f"`max_batch_size` is {quote(value)}, expected a whole number from 0 to `{MAX_BATCH_ROWS}`"
        )
    rows = int(text)
    return {"batch_rows": rows, "request_rows": rows} if rows else {"batching": "off"}


def _read_version_policy(value: Value) -> str:
    if value == {"all": {}}:
        return "all"
    if isinstance(value, dict) and list(value) == ["latest"] and isinstance(value["latest"], dict):
        return f"latest:{value['latest'].get('num_versions', 1)}"
    raise ConfigError(
        f'`version_policy` is {quote(value)}, expected `{{"all": {{}}}}` or '
        '`{"latest": {"num_versions": n}}`'
    )


def _read_queue(value: Value) -> dict[str, Value]:
    """The queue's settings in `dynamic_batching`; its delay is ignored: no request waits to be joined."""
    policy = value.get("default_queue_policy", {}) if isinstance(value, dict) else None
    if not isinstance(policy, dict):
        raise ConfigError(f"`dynamic_batching` is {quote(value)}, expected an object")
    read: dict[str, Value] = {}
    if policy.get("max_queue_size"):
        read["queue_length"] = policy["max_queue_size"]
    timeout = policy.get("default_timeout_microseconds")
    if timeout:
        if isinstance(timeout, bool) or not isinstance(timeout, int):
            raise ConfigError(f"`default_timeout_microseconds` is {quote(timeout)}, expected a whole number")
        read["queue_seconds"] = timeout / MICROSECONDS
    return read


def _write_tensors(specs: Sequence[TensorSpec]) -> tuple[TensorMetadata, ...]:
    return tuple(TensorMetadata(spec.name, spec.datatype.name, tuple(spec.dims)) for spec in specs)
