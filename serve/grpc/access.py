"""Who may make which call: the gate of every door, told what gRPC knows of a caller."""

from serve.access.entrance import Entrance
from serve.access.gate import Gate, Right
from serve.grpc.call import Call, Verb
from serve.grpc.errors import number_of
from serve.grpc.wire import Message

# What load balancers ask, who have no key.
FREE = ("ServerLive", "ServerReady", "ModelReady", "HealthCheck")
ADMINISTERING = ("RepositoryModelLoad", "RepositoryModelUnload")
SETTING = ("TraceSetting", "LogSettings")
LONGEST_NAME = 512


def right_for(verb: str, asked: Message) -> Right:
    """What the call needs."""
    if verb in FREE:
        return "free"
    changes = verb in ADMINISTERING or (verb in SETTING and bool(asked.settings))
    return "admin" if changes else "infer"


def admit(gate: Gate, right: Right, call: Call) -> None:
    """Let the call pass; raises `AccessError`."""
    if right == "free" or (right == "infer" and gate.is_open):
        return
    gate.admit(right, *call.sender)


async def administer(verb: Verb, name: str, asked: Message, call: Call, entrance: Entrance) -> Message:
    """The verb's answer, for those who may; the audit log says who asked, and what for."""
    gate = entrance.gate
    error: BaseException | None = None
    try:
        admit(gate, "admin", call)
        return await verb(asked, call)
    except BaseException as raised:
        error = raised
        raise
    finally:
        caller = gate.named(*call.sender).name
        action = f"gRPC {name} {getattr(asked, 'model_name', '')[:LONGEST_NAME]}".strip()
        entrance.audit.record(caller, action, number_of(error), call.identity.request_id)
