"""A call: who makes it, by what id it is known, how long its caller waits, and whether it may be made."""

import ipaddress
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TypeAlias
from urllib.parse import unquote

from grpc.aio import ServicerContext

from serve.access.control import AccessControl, Authorizer, RequiredRole
from serve.grpc.errors import number_of
from serve.grpc.messages import Message
from serve.observe.access_log import Identity, identify_request

Context: TypeAlias = "ServicerContext[bytes, bytes]"


class Call:
    """What is known of a call; looked up when it is asked for, since few calls need all of it."""

    def __init__(self, context: Context) -> None:
        """Nothing is looked up yet."""
        self._context = context

    @property
    def left_seconds(self) -> float | None:
        """How long the caller still waits; None for as long as it takes."""
        left: float | None = self._context.time_remaining()
        return left

    @cached_property
    def headers(self) -> dict[str, str]:
        """What the caller sent along in words, by name."""
        given = self._context.invocation_metadata() or ()
        return {name: value for name, value in given if isinstance(value, str)}

    @cached_property
    def identity(self) -> Identity:
        """By what the call is known: the same for every message in it."""
        return identify_request((name.encode(), value.encode()) for name, value in self.headers.items())

    @property
    def sender(self) -> tuple[str | None, str | None]:
        """The call's `authorization` and where it comes from; no address on a socket of this machine."""
        return self.headers.get("authorization"), address_of(self._context.peer())


Verb: TypeAlias = Callable[[Message, Call], Awaitable[Message]]
"""The message that answers one of a call; raises `EngineError`."""
Answer: TypeAlias = Callable[[bytes, Call], Awaitable[bytes]]
"""The same in bytes, of whoever may ask it."""


def address_of(peer: str) -> str | None:
    """The address in what gRPC calls the peer: `ipv4:127.0.0.1:80` or `ipv6:%5B::1%5D:80`.

    None for a socket of this machine, `unix:...`; of any other kind what it is, which is nobody's address.
    """
    kind, _, rest = unquote(peer).partition(":")
    if kind == "unix":
        return None
    if kind not in ("ipv4", "ipv6"):
        return peer
    text = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return peer
    # A socket for both families names a client of the older one so.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


# What load balancers ask, who have no key.
FREE = ("ServerLive", "ServerReady", "ModelReady", "HealthCheck")
ADMINISTERING = ("RepositoryModelLoad", "RepositoryModelUnload")
SETTING = ("TraceSetting", "LogSettings")
LONGEST_NAME = 512


def right_for(verb: str, asked: Message) -> RequiredRole:
    """What the call needs."""
    if verb in FREE:
        return "free"
    changes = verb in ADMINISTERING or (verb in SETTING and bool(asked.settings))
    return "admin" if changes else "infer"


def admit(gate: Authorizer, right: RequiredRole, call: Call) -> None:
    """Let the call pass; raises `AccessError`."""
    if right == "free" or (right == "infer" and gate.is_open):
        return
    gate.admit(right, *call.sender)


async def administer(verb: Verb, name: str, asked: Message, call: Call, entrance: AccessControl) -> Message:
    """The verb's answer, for those who may; the audit log says who asked, and what for."""
    gate = entrance.authorizer
    error: BaseException | None = None
    try:
        admit(gate, "admin", call)
        return await verb(asked, call)
    except BaseException as raised:
        error = raised
        raise
    finally:
        caller = gate.identify(*call.sender).name
        action = f"gRPC {name} {getattr(asked, 'model_name', '')[:LONGEST_NAME]}".strip()
        entrance.audit_log.record(caller, action, number_of(error), call.identity.request_id)
