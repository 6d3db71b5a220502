"""Each verb of the protocol: what is asked of the engine, and how its answer is written."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from google.protobuf.json_format import ParseDict

from serve.engine.engine import Engine
from serve.engine.errors import EngineError, UnsupportedError
from serve.engine.signature import TensorSpec
from serve.grpc.errors import message_of
from serve.grpc.infer import Inference
from serve.grpc.settings import change_log_settings, trace_settings
from serve.grpc.wire import Message, message_class
from serve.protocol.modelconfig import PLATFORM, read_load, write_configuration
from serve.protocol.text import Value
from serve.rest.models import ServerMetadata
from serve.workers.colleagues import Colleagues

Verb: TypeAlias = Callable[[Message, float | None], Awaitable[Message]]
"""The answer to a message whose caller waits for so many seconds; raises `EngineError`."""


def verbs(engine: Engine, inference: Inference, colleagues: Colleagues) -> Mapping[str, Verb]:
    """The verbs that answer one message with one, by name."""
    reading = {
        "ServerLive": lambda _: _new("ServerLiveResponse", live=True),
        "ServerReady": lambda _: _new("ServerReadyResponse", ready=engine.ready),
        "ModelReady": lambda asked: _new("ModelReadyResponse", ready=_is_ready(engine, asked)),
        "ServerMetadata": lambda _: _new("ServerMetadataResponse", **ServerMetadata().model_dump()),
        "ModelMetadata": lambda asked: _metadata(engine, asked),
        "ModelConfig": lambda asked: _config(engine, asked),
        "RepositoryIndex": lambda asked: _index(engine, asked),
        "TraceSetting": lambda asked: trace_settings(engine, asked),
    }

    async def load(asked: Message, left_seconds: float | None) -> Message:
        given: dict[str, Value] = {name: _value(each) for name, each in asked.parameters.items()}
        await engine.load(asked.model_name, read_load(asked.model_name, {"parameters": given}))
        return _new("RepositoryModelLoadResponse")

    async def unload(asked: Message, left_seconds: float | None) -> Message:
        await engine.unload(asked.model_name)
        return _new("RepositoryModelUnloadResponse")

    async def statistics(asked: Message, left_seconds: float | None) -> Message:
        found = await engine.statistics(asked.name or None, asked.version or None)
        told = [{**asdict(each), "inference_stats": asdict(each)} for each in found]
        return _filled("ModelStatisticsResponse", {"model_stats": told})

    async def log_settings(asked: Message, left_seconds: float | None) -> Message:
        return await change_log_settings(colleagues, asked)

    return {
        **{name: _at_once(answer) for name, answer in reading.items()},
        "LogSettings": log_settings,
        "ModelInfer": inference.answer,
        "ModelStatistics": statistics,
        "RepositoryModelLoad": load,
        "RepositoryModelUnload": unload,
    }


async def stream_infer(
    inference: Inference, messages: AsyncIterator[Message], left_seconds: Callable[[], float | None]
) -> AsyncIterator[Message]:
    """An answer for each message, in their order; one that fails is answered in words."""
    async for message in messages:
        try:
            yield _new(
                "ModelStreamInferResponse", infer_response=await inference.answer(message, left_seconds())
            )
        except EngineError as error:
            failed = _new("ModelStreamInferResponse", error_message=message_of(error))
            failed.infer_response.id = message.id
            yield failed


def _at_once(answer: Callable[[Message], Message]) -> Verb:
    async def verb(asked: Message, left_seconds: float | None) -> Message:
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
    return _new(
        "ModelMetadataResponse",
        name=model.name,
        versions=engine.versions(model.name),
        platform=PLATFORM,
        inputs=[_tensor(spec) for spec in model.signature.inputs],
        outputs=[_tensor(spec) for spec in model.signature.outputs],
    )


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.name, "shape": spec.dims}


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
