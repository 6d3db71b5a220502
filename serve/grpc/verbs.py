"""The protocol's methods other than inference: what they ask of the engine, and how answers are written."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf.json_format import ParseDict

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnsupportedError
from serve.grpc.calls import Call, Verb
from serve.grpc.messages import Message, message_class
from serve.observe.log_settings import update_log_settings
from serve.protocol.json_text import Value
from serve.protocol.metadata import ServerMetadata, read_load, write_configuration, write_metadata
from serve.protocol.trace_settings import change_traces
from serve.shared.worker_group import WorkerGroup

LogResponse = message_class("inference.LogSettingsResponse")
TraceResponse = message_class("inference.TraceSettingResponse")


async def log_settings(colleagues: WorkerGroup, asked: Message) -> Message:
    """The settings, after every worker has changed those given; raises `MalformedRequestError`."""
    given = {name: _given(each) for name, each in asked.settings.items()}
    reply = LogResponse()
    for name, value in asdict(await update_log_settings(colleagues, given)).items():
        setattr(reply.settings[name], _place(value), value)
    return reply


def trace_settings(engine: Engine, asked: Message) -> Message:
    """That nothing is traced to a file; raises `EngineError` where something should be."""
    if asked.model_name:
        engine.model(asked.model_name)
    reply = TraceResponse()
    for name, value in asdict(change_traces(_wanted(asked))).items():
        reply.settings[name].value.extend(value if isinstance(value, list) else [value])
    return reply


def _wanted(asked: Message) -> dict[str, Value]:
    """The settings by name; without a value they are put back, and only the levels are several."""
    given = {name: list(each.value) for name, each in asked.settings.items()}
    return {
        name: values or None if name == "trace_level" or len(values) != 1 else values[0]
        for name, values in given.items()
    }


def _given(setting: Message) -> Value:
    choice = setting.WhichOneof("parameter_choice")
    value: Value = None if choice is None else getattr(setting, choice)
    return value


def _place(value: object) -> str:
    if isinstance(value, bool):
        return "bool_param"
    return "uint32_param" if isinstance(value, int) else "string_param"


def verbs(engine: Engine, colleagues: WorkerGroup) -> Mapping[str, Verb]:
    """The verbs beside inference, by name."""
    reading = {
        "ServerLive": lambda _: _new("ServerLiveResponse", live=True),
        "ServerReady": lambda _: _new("ServerReadyResponse", ready=engine.ready),
        "ModelReady": lambda asked: _new("ModelReadyResponse", ready=_is_ready(engine, asked)),
        "ServerMetadata": lambda _: _new("ServerMetadataResponse", **asdict(ServerMetadata())),
        "ModelMetadata": lambda asked: _metadata(engine, asked),
        "ModelConfig": lambda asked: _config(engine, asked),
        "RepositoryIndex": lambda asked: _index(engine, asked),
        "TraceSetting": lambda asked: trace_settings(engine, asked),
    }

    async def load(asked: Message, call: Call) -> Message:
        given: dict[str, Value] = {name: _value(each) for name, each in asked.parameters.items()}
        await engine.load(asked.model_name, read_load(asked.model_name, {"parameters": given}))
        return _new("RepositoryModelLoadResponse")

    async def unload(asked: Message, call: Call) -> Message:
        await engine.unload(asked.model_name)
        return _new("RepositoryModelUnloadResponse")

    async def statistics(asked: Message, call: Call) -> Message:
        found = await engine.statistics(asked.name or None, asked.version or None)
        told = [{**asdict(each), "inference_stats": asdict(each)} for each in found]
        return _filled("ModelStatisticsResponse", {"model_stats": told})

    async def change_log_settings(asked: Message, call: Call) -> Message:
        return await log_settings(colleagues, asked)

    return {
        **{name: _at_once(answer) for name, answer in reading.items()},
        "LogSettings": change_log_settings,
        "ModelStatistics": statistics,
        "RepositoryModelLoad": load,
        "RepositoryModelUnload": unload,
    }


def _at_once(answer: Callable[[Message], Message]) -> Verb:
    async def verb(asked: Message, call: Call) -> Message:
        return answer(asked)

    return verb


def _is_ready(engine: Engine, asked: Message) -> bool:
    try:
        engine.model(asked.name, asked.version or None)
    except EngineError:
        return False
    return True


def _metadata(engine: Engine, asked: Message) -> Message:
    model = engine.model(asked.name, asked.version or None)
    told = asdict(write_metadata(model.name, engine.versions(model.name), model.signature))
    return _new("ModelMetadataResponse", **told)


def _config(engine: Engine, asked: Message) -> Message:
    model = engine.model(asked.name, asked.version or None)
    told = asdict(write_configuration(model.name, model.signature, model.config, model.joins))
    return _filled("ModelConfigResponse", {"config": told})


def _index(engine: Engine, asked: Message) -> Message:
    if asked.repository_name:
        raise UnsupportedError("there is one repository, which has no name; leave `repository_name` empty")
    return _new(
        "RepositoryIndexResponse",
        models=[
            {"name": each.name, "version": each.version, "state": each.state, "reason": each.reason}
            for each in engine.index()
            if each.state == "READY" or not asked.ready
        ],
    )


def _value(parameter: Message) -> str | int | bool:
    """What was given; of a file nothing, since files are refused by their names."""
    choice = parameter.WhichOneof("parameter_choice")
    found: str | int | bool = getattr(parameter, choice) if choice not in (None, "bytes_param") else ""
    return found


def _new(kind: str, /, **fields: Any) -> Message:
    return message_class(f"inference.{kind}")(**fields)


def _filled(name: str, told: Mapping[str, Any]) -> Message:
    """The message with what is told of its fields; what it has no field for is left out."""
    return ParseDict(told, _new(name), ignore_unknown_fields=True)
