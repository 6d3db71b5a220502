"""A gRPC call: its caller, its id, its deadline, and whether the caller may make it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from time import monotonic
from typing import TypeAlias

from serve.access.control import AccessControl, Authorizer, RequiredRole
from serve.access.errors import KeyRequiredError
from serve.access.proxies import FORWARDED, Proxies, parse_address
from serve.grpc.errors import number_of
from serve.grpc.framing import Buffer
from serve.grpc.messages import Message
from serve.http2.hpack import Header
from serve.observe.access_log import Identity, identify_request
from serve.protocol.compression import Coding

# For load balancers, which have no key.
FREE_METHODS = ("ServerLive", "ServerReady", "ModelReady", "HealthCheck")
ADMIN_METHODS = (
    "RepositoryModelLoad",
    "RepositoryModelUnload",
    "SystemSharedMemoryRegister",
    "SystemSharedMemoryUnregister",
)
SETTINGS_METHODS = ("TraceSetting", "LogSettings")
MAX_NAME = 512
METADATA_BYTES = 2**14
HEADER_BYTES = 32  # what each counts beside its texts, as HTTP/2 counts them
CONTENT_TYPE = b"application/grpc"
CODINGS: dict[bytes, Coding | None] = {b"identity": None, b"gzip": "gzip", b"deflate": "deflate"}
UNIT_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
TIMEOUT_DIGITS = 8


@dataclass(frozen=True, slots=True)
class CallHead:
    """What a call's headers say: its method's path, its time limit, and the coding of its messages."""

    path: str
    headers: dict[str, str]
    timeout_seconds: float | None
    coding: Coding | None
    is_call: bool
    """Whether this is gRPC at all."""
    has_known_coding: bool
    is_too_large: bool


@lru_cache(256)
def read_head(headers: tuple[Header, ...]) -> CallHead:
    """The call of these headers; remembered, since a client's calls hardly differ."""
    fields = dict(headers)
    size = sum(HEADER_BYTES + len(name) + len(value) for name, value in headers)
    content_type = fields.get(b"content-type", b"")
    coding = fields.get(b"grpc-encoding", b"identity")
    return CallHead(
        path=fields.get(b":path", b"").decode("latin-1"),
        headers={
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if not name.startswith(b":") and not name.endswith(b"-bin")
        },
        timeout_seconds=_read_timeout(fields.get(b"grpc-timeout")),
        coding=CODINGS.get(coding),
        is_call=fields.get(b":method") == b"POST" and content_type.startswith(CONTENT_TYPE),
        has_known_coding=coding in CODINGS,
        is_too_large=size > METADATA_BYTES,
    )


class IncomingCall:
    """A call's deadline, headers, id and sender."""

    def __init__(self, head: CallHead, peer: object) -> None:
        """It has just come, from a socket's peer."""
        self._head = head
        self._peer = peer
        seconds = head.timeout_seconds
        self.deadline = None if seconds is None else monotonic() + seconds
        """On the clock `monotonic`; None without one."""
        self.trailers: tuple[Header, ...] = ()
        """Metadata behind the answer, of a call with one message."""

    @property
    def left_seconds(self) -> float | None:
        """How long the caller still waits; None without a deadline."""
        return None if self.deadline is None else self.deadline - monotonic()

    @property
    def headers(self) -> dict[str, str]:
        """The call's metadata of text, by name."""
        return self._head.headers

    @cached_property
    def identity(self) -> Identity:
        """The call's ids, the same for every message in it."""
        return identify_request((name.encode(), value.encode()) for name, value in self.headers.items())

    def find_sender(self, proxies: Proxies) -> tuple[str | None, str | None]:
        """The call's `authorization` and its address; None for each that it does not have."""
        forwarded = [(name, self.headers[name]) for name in FORWARDED if name in self.headers]
        address = proxies.find_sender(read_address(self._peer), forwarded)
        return self.headers.get("authorization"), address


Method: TypeAlias = Callable[[Message, IncomingCall], Awaitable[Message]]
"""Answers a message with a message; raises `EngineError`."""
BytesMethod: TypeAlias = Callable[[Buffer, IncomingCall], Awaitable[bytes]]
"""The same from bytes to bytes, with access control."""


def read_address(peer: object) -> str | None:
    """The address in a socket's peer, IPv4 where the socket mapped it; None for a socket of this machine."""
    if not isinstance(peer, tuple):
        return None
    text = str(peer[0])
    address = parse_address(text.partition("%")[0])
    return text if address is None else str(address)


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
    subject = getattr(request, "model_name", "") or getattr(request, "name", "")
    action = f"gRPC {name} {subject[:MAX_NAME]}".strip()
    # Once: the key may be removed while the action takes its time.
    caller = authorizer.identify(*call.find_sender(authorizer.proxies)).name
    error: BaseException | None = None
    try:
        admit(authorizer, "admin", call)
        access.audit_log.begin(caller, action, call.identity.request_id)
        return await method(request, call)
    except BaseException as raised:
        error = raised
        raise
    finally:
        log = access.audit_log
        record = log.record_stranger if isinstance(error, KeyRequiredError) else log.record
        record(caller, action, number_of(error), call.identity.request_id)


def _read_timeout(text: bytes | None) -> float | None:
    """The seconds of a `grpc-timeout`; None without one that gRPC allows."""
    if not text or not text[:-1].isdigit() or len(text) > TIMEOUT_DIGITS + 1:
        return None
    unit = UNIT_SECONDS.get(text[-1:])
    return None if unit is None else int(text[:-1]) * unit
