"""The protocol's gRPC methods other than inference."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf.json_format import ParseDict

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnsupportedError
from serve.grpc.calls import IncomingCall, Method
from serve.grpc.messages import Message, message_class
from serve.observe.log_settings import update_log_settings
from serve.protocol.descriptions import ServerMetadata
from serve.protocol.json_text import Value
from serve.protocol.metadata import read_load, write_configuration, write_metadata
from serve.protocol.trace_settings import update_trace_settings
from serve.shared.regions import MemoryRegions, RegionStatus
from serve.shared.worker_group import WorkerGroup


def make_methods(engine: Engine, workers: WorkerGroup, regions: MemoryRegions) -> Mapping[str, Method]:
    """The methods beside inference, by name."""
    immediate = {
        "ServerLive": lambda _: _make("ServerLiveResponse", live=True),
        "ServerReady": lambda _: _make("ServerReadyResponse", ready=engine.ready),
        "ModelReady": lambda request: _make("ModelReadyResponse", ready=_is_ready(engine, request)),
        "ServerMetadata": lambda _: _make(
            "ServerMetadataResponse", **asdict(ServerMetadata(extensions=regions.extensions))
        ),
        "ModelMetadata": lambda request: _write_metadata(engine, request),
        "ModelConfig": lambda request: _write_config(engine, request),
        "RepositoryIndex": lambda request: _write_index(engine, request),
        "TraceSetting": lambda request: answer_trace_settings(engine, request),
    }

    async def load(request: Message, call: IncomingCall) -> Message:
        parameters: dict[str, Value] = {
            name: _read_parameter(parameter) for name, parameter in request.parameters.items()
        }
        await engine.load(request.model_name, read_load(request.model_name, {"parameters": parameters}))
        return _make("RepositoryModelLoadResponse")

    async def unload(request: Message, call: IncomingCall) -> Message:
        await engine.unload(request.model_name)
        return _make("RepositoryModelUnloadResponse")

    async def statistics(request: Message, call: IncomingCall) -> Message:
        versions = await engine.statistics(request.name or None, request.version or None)
        return _fill("ModelStatisticsResponse", {"model_stats": list(map(asdict, versions))})

    async def log_settings(request: Message, call: IncomingCall) -> Message:
        return await answer_log_settings(workers, request)

    return {
        **{name: _make_async(answer) for name, answer in immediate.items()},
        "LogSettings": log_settings,
        "ModelStatistics": statistics,
        "RepositoryModelLoad": load,
        "RepositoryModelUnload": unload,
        **_make_memory_methods(regions),
    }


def _make_memory_methods(regions: MemoryRegions) -> dict[str, Method]:
    async def status(request: Message, call: IncomingCall) -> Message:
        known = {region.name: asdict(region) for region in regions.describe(request.name)}
        return _fill("SystemSharedMemoryStatusResponse", {"regions": known})

    async def register(request: Message, call: IncomingCall) -> Message:
        await regions.register(RegionStatus(request.name, request.key, request.offset, request.byte_size))
        return _make("SystemSharedMemoryRegisterResponse")

    async def unregister(request: Message, call: IncomingCall) -> Message:
        await regions.unregister(request.name)
        return _make("SystemSharedMemoryUnregisterResponse")

    return {
        "SystemSharedMemoryStatus": status,
        "SystemSharedMemoryRegister": register,
        "SystemSharedMemoryUnregister": unregister,
    }


async def answer_log_settings(workers: WorkerGroup, request: Message) -> Message:
    """The log settings, after every worker has made the changes; raises `MalformedRequestError`."""
    changes = {name: _read_setting(setting) for name, setting in request.settings.items()}
    reply = _make("LogSettingsResponse")
    for name, value in asdict(await update_log_settings(workers, changes)).items():
        setattr(reply.settings[name], _name_field(value), value)
    return reply


def answer_trace_settings(engine: Engine, request: Message) -> Message:
    """The trace settings, which trace nothing; raises `EngineError` for a change that would."""
    if request.model_name:
        engine.model(request.model_name)
    reply = _make("TraceSettingResponse")
    for name, value in asdict(update_trace_settings(_read_trace_settings(request))).items():
        reply.settings[name].value.extend(value if isinstance(value, list) else [value])
    return reply


def _read_trace_settings(request: Message) -> dict[str, Value]:
    """The settings by name; one without a value is reset, and only `trace_level` is a list."""
    settings = {name: list(setting.value) for name, setting in request.settings.items()}
    return {
        name: values or None if name == "trace_level" or len(values) != 1 else values[0]
        for name, values in settings.items()
    }


def _read_setting(setting: Message) -> Value:
    choice = setting.WhichOneof("parameter_choice")
    value: Value = None if choice is None else getattr(setting, choice)
    return value


def _name_field(value: object) -> str:
    """The field of a log setting that holds the value."""
    if isinstance(value, bool):
        return "bool_param"
    return "uint32_param" if isinstance(value, int) else "string_param"


def _make_async(answer: Callable[[Message], Message]) -> Method:
    async def method(request: Message, call: IncomingCall) -> Message:
        return answer(request)

    return method


def _is_ready(engine: Engine, request: Message) -> bool:
    try:
        engine.model(request.name, request.version or None)
    except EngineError:
        return False
    return True


def _write_metadata(engine: Engine, request: Message) -> Message:
    model = engine.model(request.name, request.version or None)
    fields = asdict(write_metadata(model.name, engine.versions(model.name), model.signature))
    for name in ("parity", "sizes", "description", "parameters"):  # the protocol's message has none of them
        del fields[name]
    return _make("ModelMetadataResponse", **fields)


def _write_config(engine: Engine, request: Message) -> Message:
    model = engine.model(request.name, request.version or None)
    config = write_configuration(model.name, model.signature, model.config, model.joins)
    return _fill("ModelConfigResponse", {"config": asdict(config)})


def _write_index(engine: Engine, request: Message) -> Message:
    if request.repository_name:
        raise UnsupportedError("there is one repository, which has no name; leave `repository_name` empty")
    entries = [asdict(entry) for entry in engine.index() if entry.state == "READY" or not request.ready]
    return _make("RepositoryIndexResponse", models=entries)


def _read_parameter(parameter: Message) -> str | int | bool:
    """The parameter's value; empty for the bytes of a file, which is refused by its name."""
    choice = parameter.WhichOneof("parameter_choice")
    value: str | int | bool = getattr(parameter, choice) if choice not in (None, "bytes_param") else ""
    return value


def _make(name: str, /, **fields: Any) -> Message:
    return message_class(f"inference.{name}")(**fields)


def _fill(name: str, fields: Mapping[str, Any]) -> Message:
    """The message with these fields; those that it does not have are left out."""
    return ParseDict(fields, _make(name), ignore_unknown_fields=True)
