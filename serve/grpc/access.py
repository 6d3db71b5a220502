"""Who may make which call: the gate of every door, told what gRPC knows of a caller."""

import ipaddress
from urllib.parse import unquote

from grpc.aio import ServicerContext

from serve.access.gate import Caller, Gate, Right
from serve.grpc.wire import Message

# What load balancers ask, who have no key.
FREE = ("ServerLive", "ServerReady", "ModelReady", "HealthCheck")
ADMINISTERING = ("RepositoryModelLoad", "RepositoryModelUnload")
SETTING = ("TraceSetting", "LogSettings")


def right_for(verb: str, asked: Message) -> Right:
    """What the call needs."""
    if verb in FREE:
        return "free"
    changes = verb in ADMINISTERING or (verb in SETTING and bool(asked.settings))
    return "admin" if changes else "infer"


def admit(gate: Gate, right: Right, context: "ServicerContext[bytes, bytes]") -> Caller | None:
    """Who calls, if that had to be asked; raises `AccessError`."""
    if right == "free" or (right == "infer" and gate.is_open):
        return None
    return gate.admit(right, *sender_of(context))


def sender_of(context: "ServicerContext[bytes, bytes]") -> tuple[str | None, str | None]:
    """The call's `Authorization` and where it comes from; no address on a socket of this machine."""
    authorization = dict(context.invocation_metadata() or ()).get("authorization")
    return authorization if isinstance(authorization, str) else None, address_of(context.peer())


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
