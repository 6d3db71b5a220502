"""The server's settings over gRPC: which messages are logged, and that nothing is traced to a file."""

from dataclasses import asdict

from serve.engine.engine import Engine
from serve.grpc.wire import Message, message_class
from serve.log_settings import change_log
from serve.protocol.text import Value
from serve.protocol.traces import change_traces
from serve.workers.colleagues import Colleagues

LogResponse = message_class("inference.LogSettingsResponse")
TraceResponse = message_class("inference.TraceSettingResponse")


async def log_settings(colleagues: Colleagues, asked: Message) -> Message:
    """The settings, after every worker has changed those given; raises `MalformedRequestError`."""
    given = {name: _given(each) for name, each in asked.settings.items()}
    reply = LogResponse()
    for name, value in asdict(await change_log(colleagues, given)).items():
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
