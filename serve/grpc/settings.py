"""The server's settings over gRPC: which messages are logged, and traces, which there are none of."""

from typing import Any

from serve.engine.engine import Engine
from serve.engine.errors import UnsupportedError
from serve.grpc.wire import Message, message_class
from serve.rest.absent import OFF
from serve.rest.log_settings import VERB, read_changes
from serve.workers.colleagues import Colleagues

LogResponse = message_class("inference.LogSettingsResponse")
TraceResponse = message_class("inference.TraceSettingResponse")


async def change_log_settings(colleagues: Colleagues, asked: Message) -> Message:
    """The settings, after every worker has changed those given; raises `MalformedRequestError`."""
    given = {name: _value(each) for name, each in asked.settings.items()}
    settings, *_ = await colleagues.everybody(VERB, read_changes(given))
    reply = LogResponse()
    for name, value in settings.items():
        setattr(reply.settings[name], _place(value), value)
    return reply


def trace_settings(engine: Engine, asked: Message) -> Message:
    """That nothing is traced to a file; raises `UnsupportedError` where something should be."""
    if asked.model_name:
        engine.model(asked.model_name)
    wanted = {name: list(each.value) for name, each in asked.settings.items()}
    told = {name: value if isinstance(value, list) else [str(value)] for name, value in OFF.items()}
    if any(value not in ([], told.get(name)) for name, value in wanted.items()):
        raise UnsupportedError("nothing is traced to a file by this server")
    reply = TraceResponse()
    for name, values in told.items():
        reply.settings[name].value.extend(map(str, values))
    return reply


def _value(setting: Message) -> Any:
    choice = setting.WhichOneof("parameter_choice")
    return None if choice is None else getattr(setting, choice)


def _place(value: object) -> str:
    if isinstance(value, bool):
        return "bool_param"
    return "uint32_param" if isinstance(value, int) else "string_param"
