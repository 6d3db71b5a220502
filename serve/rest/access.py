"""Who may ask what: the only place where a request's right to be answered is judged."""

import ipaddress
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.control import AccessControl, Authorizer, Caller, RequiredRole
from serve.access.errors import AccessError
from serve.observe.access_log import identify_request
from serve.rest.errors import answer

READING = ("GET", "HEAD", "OPTIONS")
# What changes nothing although it is no GET; whatever is not listed here is for administrators.
ASKING = re.compile(
    r"/v2/models/[^/]+(/versions/[^/]+)?/infer"
    r"|/v1/models/[^/]+(/versions/[^/]+)?:predict"
    r"|/v2/repository/index"
)
# What load balancers ask, who have no key, and the page that describes the API, which says nothing of models.
FREE = re.compile(
    r"/v2/health/(live|ready)"
    r"|/v2/models/[^/]+(/versions/[^/]+)?/ready"
    r"|/v1/models/[^/:]+"
    r"|/docs(/[^/]+)?"
    r"|/openapi\.json"
)
METRICS = "/metrics"
KEY = "key"
AUTHORIZATION = b"authorization"
CALLER, IDENTITY = "adaptact.caller", "adaptact.identity"
LONGEST_PATH = 512


class Forbidden(HTTPException):
    """A request that its sender may not make."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, message)


def is_administration(method: str, path: str) -> bool:
    """Whether the request would change how the server answers others."""
    return method not in READING and not ASKING.fullmatch(path)


def right_for(method: str, path: str) -> RequiredRole:
    """What the request needs."""
    if is_administration(method, path):
        return "admin"
    # The framework takes a path with a line's end behind it for the same path.
    if path.startswith(METRICS):
        return "metrics"
    return "free" if method in READING and FREE.fullmatch(path) else "infer"


def with_keys(document: dict[str, Any]) -> dict[str, Any]:
    """The OpenAPI document, which says of each operation whether it takes a key."""
    document.setdefault("components", {})["securitySchemes"] = {KEY: {"type": "http", "scheme": "bearer"}}
    needed: list[dict[str, list[str]]] = [{KEY: []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            right = right_for(method.upper(), path)
            if right != "free":
                # On this machine an administrator needs none.
                operation["security"] = [*needed, {}] if right == "admin" else needed
    return document


def admit(gate: Authorizer, right: RequiredRole, scope: Scope) -> None:
    """Let the request pass, and note its caller in the scope; raises `AccessError`, or `Forbidden`."""
    if right == "free" or (right != "admin" and gate.is_open):
        return
    caller = gate.admit(right, *_sender(scope))
    scope[CALLER] = caller.name
    if right == "admin":
        _check_origin(scope, caller)


async def administer(
    entrance: AccessControl, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Let the app answer an administrator, and refuse others; the audit log says who asked and what for.

    It says status 0 where no answer was given.
    """
    status = 0

    async def noted(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        try:
            admit(entrance.authorizer, "admin", scope)
        except (AccessError, Forbidden) as error:
            await answer(error)(scope, receive, noted)
        else:
            await app(scope, receive, noted)
    finally:
        caller = scope.get(CALLER) or entrance.authorizer.identify(*_sender(scope)).name
        action = f"{scope['method']} {scope['path'][:LONGEST_PATH]}"
        identity = scope.get(IDENTITY) or identify_request(scope["headers"])
        entrance.audit_log.record(caller, action, status, identity.request_id)


def _sender(scope: Scope) -> tuple[str | None, str | None]:
    """The request's `Authorization` and where it comes from; no address on a socket of this machine."""
    client = scope.get("client")
    for name, value in scope["headers"]:
        if name == AUTHORIZATION:
            return value.decode("latin-1"), client and client[0]
    return None, client and client[0]


def _check_origin(scope: Scope, caller: Caller) -> None:
    """Raise `Forbidden` for a page of another site."""
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    if origin is not None and not _is_own(origin, headers.get(b"host", ""), caller):
        raise Forbidden("models and settings cannot be changed by a page of another site")


def _is_own(origin: str, host: str, caller: Caller) -> bool:
    """Whether the page is this server's: same host.

    Where the address alone gives the right, that is not a name that anybody can point here.
    """
    try:
        parts = urlsplit(origin)
        hostname = parts.hostname or ""
    except ValueError:
        return False
    return parts.netloc == host and (caller.has_key or hostname == "localhost" or _is_address(hostname))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
