"""A gRPC call: its caller, its id, its deadline, and whether the caller may make it."""

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TypeAlias
from urllib.parse import unquote

from grpc.aio import ServicerContext

from serve.access.control import AccessControl, Authorizer, RequiredRole
from serve.access.proxies import FORWARDED, Proxies, parse_address
from serve.grpc.errors import number_of
from serve.grpc.messages import Message
from serve.observe.access_log import Identity, identify_request

# For load balancers, which have no key.
FREE_METHODS = ("ServerLive", "ServerReady", "ModelReady", "HealthCheck")
ADMIN_METHODS = ("RepositoryModelLoad", "RepositoryModelUnload")
SETTINGS_METHODS = ("TraceSetting", "LogSettings")
MAX_NAME = 512

Context: TypeAlias = "ServicerContext[bytes, bytes]"


class IncomingCall:
    """A call's deadline, headers, id and sender; looked up at their first use, since few calls need all."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def left_seconds(self) -> float | None:
        """How long the caller still waits; None without a deadline."""
        left: float | None = self._context.time_remaining()
        return left

    @cached_property
    def headers(self) -> dict[str, str]:
        """The call's metadata of text, by name."""
        metadata = self._context.invocation_metadata() or ()
        return {name: value for name, value in metadata if isinstance(value, str)}

    @cached_property
    def identity(self) -> Identity:
        """The call's ids, the same for every message in it."""
        return identify_request((name.encode(), value.encode()) for name, value in self.headers.items())

    def find_sender(self, proxies: Proxies) -> tuple[str | None, str | None]:
        """The call's `authorization` and its address; None for each that it does not have."""
        forwarded = [(name, self.headers[name]) for name in FORWARDED if name in self.headers]
        address = proxies.find_sender(read_address(self._context.peer()), forwarded)
        return self.headers.get("authorization"), address


Method: TypeAlias = Callable[[Message, IncomingCall], Awaitable[Message]]
"""Answers a message with a message; raises `EngineError`."""
BytesMethod: TypeAlias = Callable[[bytes, IncomingCall], Awaitable[bytes]]
"""The same from bytes to bytes, with access control."""


def read_address(peer: str) -> str | None:
    """The address in what gRPC calls the peer: `ipv4:127.0.0.1:80` or `ipv6:%5B::1%5D:80`.

    None for a socket of this machine, `unix:...`; a peer of any other kind unchanged, which is no address.
    """
    kind, _, rest = unquote(peer).partition(":")
    if kind == "unix":
        return None
    if kind not in ("ipv4", "ipv6"):
        return peer
    address = parse_address(rest.rpartition(":")[0].strip("[]").partition("%")[0])
    return peer if address is None else str(address)


def right_for(method: str, request: Message) -> RequiredRole:
    """The role that the call needs."""
    if method in FREE_METHODS:
        return "free"
    is_change = method in ADMIN_METHODS or (method in SETTINGS_METHODS and bool(request.settings))
    return "admin" if is_change else "infer"


def admit(authorizer: Authorizer, right: RequiredRole, call: IncomingCall) -> None:
    """Raise `AccessError` unless the caller has the role."""
    if right == "free" or (right == "infer" and authorizer.is_open):
        return
    authorizer.admit(right, *call.find_sender(authorizer.proxies))


async def administer(
    method: Method, name: str, request: Message, call: IncomingCall, access: AccessControl
) -> Message:
    """The method's answer, for an administrator; the audit log has every attempt."""
    authorizer = access.authorizer
    action = f"gRPC {name} {getattr(request, 'model_name', '')[:MAX_NAME]}".strip()
    error: BaseException | None = None
    try:
        admit(authorizer, "admin", call)
        access.audit_log.begin(_name_caller(authorizer, call), action, call.identity.request_id)
        return await method(request, call)
    except BaseException as raised:
        error = raised
        raise
    finally:
        caller = _name_caller(authorizer, call)
        access.audit_log.record(caller, action, number_of(error), call.identity.request_id)


def _name_caller(authorizer: Authorizer, call: IncomingCall) -> str:
    return authorizer.identify(*call.find_sender(authorizer.proxies)).name
