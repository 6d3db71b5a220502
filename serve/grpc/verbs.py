"""Each verb of the protocol: what is asked of the engine, and how its answer is written."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from google.protobuf.json_format import ParseDict

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnsupportedError
from serve.grpc.call import Call, Verb
from serve.grpc.settings import log_settings, trace_settings
from serve.grpc.wire import Message, message_class
from serve.protocol.metadata import ServerMetadata, write_metadata
from serve.protocol.modelconfig import read_load, write_configuration
from serve.protocol.text import Value
from serve.workers.colleagues import Colleagues


def verbs(engine: Engine, colleagues: Colleagues) -> Mapping[str, Verb]:
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
