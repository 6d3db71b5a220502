"""Access control of HTTP requests: the role that each needs, and whether its caller has it."""

import ipaddress
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.access.control import AccessControl, Authorizer, Caller, RequiredRole
from serve.access.errors import AccessError, KeyRequiredError
from serve.access.hosts import LOCAL
from serve.access.keys import ROLES, Role
from serve.access.proxies import FORWARDED, Proxies
from serve.observe.access_log import identify_request
from serve.rest.errors import make_error_response
from serve.rest.language import read_language

READING_METHODS = ("GET", "HEAD", "OPTIONS")
# POST requests that change nothing; any other is for administrators.
READING_POSTS = re.compile(
    r"/v2/models/[^/]+(/versions/[^/]+)?/infer"
    r"|/v1/models/[^/]+(/versions/[^/]+)?:predict"
    r"|/v2/repository/index"
    r"|/adaptact/v1/experiments:plan"
)
# For load balancers, which have no key; and the pages, which show nothing of the models without one.
FREE_PATHS = re.compile(
    r"/v2/health/(live|ready)"
    r"|/v2/models/[^/]+(/versions/[^/]+)?/ready"
    r"|/v1/models/[^/:]+"
    r"|/docs(/[^/]+)?"
    r"|/openapi\.json"
    r"|/console(/.*)?"
    r"|/adaptact/v1/me"
)
METRICS = ("/metrics", "/adaptact/v1/experiments", "/adaptact/v1/live", "/adaptact/v1/drift")
VERSION_DRIFT = re.compile(r"/adaptact/v1/models/[^/]+(/versions/[^/]+)?/drift\n?")
AUDIT = "/adaptact/v1/audit"
FEEDBACK = re.compile(r"/adaptact/v1/feedback(:bulk)?")
KEY = "key"
AUTHORIZATION, ORIGIN, HOST, FETCH_SITE = b"authorization", b"origin", b"host", b"sec-fetch-site"
# Where a browser says that a page comes from, if it is none of this server.
OTHER_SITES = (b"cross-site", b"same-site")
FORWARDED_HEADERS = tuple(name.encode() for name in FORWARDED)
# The roles that change something, and what is refused to a page of another site.
CHANGING: Mapping[RequiredRole, str] = {
    "admin": "models and settings cannot be changed",
    "feedback": "outcomes are not taken",
}
NAMED = (
    "without a key this is for pages under `localhost` or a numeric address: anybody can point a name here"
)
CALLER, IDENTITY = "adaptact.caller", "adaptact.identity"
MAX_PATH = 512


class Forbidden(HTTPException):
    """A request that its caller may not make."""

    def __init__(self, message: str) -> None:
        super().__init__(HTTPStatus.FORBIDDEN, message)


def is_administration(method: str, path: str) -> bool:
    """Whether the request may change how the server answers others."""
    is_harmless = method == "POST" and (READING_POSTS.fullmatch(path) or FEEDBACK.fullmatch(path))
    return method not in READING_METHODS and not is_harmless


def right_for(method: str, path: str) -> RequiredRole:
    """The role that the request needs."""
    if method == "POST" and FEEDBACK.fullmatch(path):
        return "feedback"
    if is_administration(method, path):
        return "admin"
    # Prefixes, since the framework ignores a newline at the end of a path.
    if path.startswith(AUDIT):
        return "admin"
    if path.startswith(METRICS) or VERSION_DRIFT.fullmatch(path):
        return "metrics"
    return "free" if method in READING_METHODS and FREE_PATHS.fullmatch(path) else "infer"


def describe_keys(document: dict[str, Any], is_local_admin: bool) -> dict[str, Any]:
    """The OpenAPI document, with the security of each operation."""
    document.setdefault("components", {})["securitySchemes"] = {KEY: {"type": "http", "scheme": "bearer"}}
    required: list[dict[str, list[str]]] = [{KEY: []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            right = right_for(method.upper(), path)
            if right != "free":
                needs_none = right == "admin" and is_local_admin  # from this machine
                operation["security"] = [*required, {}] if needs_none else required
    return document


def admit(authorizer: Authorizer, right: RequiredRole, scope: Scope) -> None:
    """Put the request's caller into the scope; raises `AccessError` or `Forbidden` without the role."""
    if right == "free" or (right not in CHANGING and authorizer.is_open):
        return
    caller = authorizer.admit(right, *read_sender(scope, authorizer.proxies))
    scope[CALLER] = caller.name
    if right in CHANGING:
        _check_page(scope, right, caller)


def refuse_other_sites(headers: Mapping[bytes, bytes]) -> None:
    """Raise `Forbidden` for inference by a page of another site, as the browser says.

    It could not read the answer, but would take the server's time, and count in its experiments.
    """
    if headers.get(FETCH_SITE) in OTHER_SITES:
        raise Forbidden("models do not answer a page of another site")


def list_roles(authorizer: Authorizer, scope: Scope) -> tuple[Caller, list[Role]]:
    """Who sends the request, and what they may do; raises `KeyRequiredError` for an unknown key."""
    caller, roles = authorizer.find_roles(*read_sender(scope, authorizer.proxies))
    if not caller.has_key and not _is_own_name(_read_host(scope)):
        roles -= {"admin"}
    return caller, [role for role in ROLES if role in roles]


async def administer(access: AccessControl, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the app answer an administrator, refuse others, and write both to the audit log.

    What the log cannot record is refused. It has status 0 where no answer was sent.
    """
    status, authorizer, record = 0, access.authorizer, access.audit_log.record
    action = f"{scope['method']} {scope['path'][:MAX_PATH]}"
    identity = scope.get(IDENTITY) or identify_request(scope["headers"])

    async def send_and_note(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        await send(message)

    try:
        try:
            admit(authorizer, "admin", scope)
            access.audit_log.begin(scope[CALLER], action, identity.request_id)
        except (AccessError, Forbidden) as error:
            if isinstance(error, (KeyRequiredError, Forbidden)):
                record = access.audit_log.record_stranger
            await make_error_response(error, read_language(scope["headers"]))(scope, receive, send_and_note)
        else:
            await app(scope, receive, send_and_note)
    finally:
        caller = scope.get(CALLER) or authorizer.identify(*read_sender(scope, authorizer.proxies)).name
        record(caller, action, status, identity.request_id)


def read_sender(scope: Scope, proxies: Proxies) -> tuple[str | None, str | None]:
    """The request's `Authorization` and its address; None for each that it does not have."""
    authorization, forwarded = None, []
    for name, value in scope["headers"]:
        if name == AUTHORIZATION and authorization is None:
            authorization = value.decode("latin-1")
        elif name in FORWARDED_HEADERS:
            forwarded.append((name.decode(), value.decode("latin-1")))
    client = scope.get("client")
    return authorization, proxies.find_sender(client and client[0], forwarded)


def _check_page(scope: Scope, right: RequiredRole, caller: Caller) -> None:
    """Raise `Forbidden` for a request from a page of another site."""
    headers, host = dict(scope["headers"]), _read_host(scope)
    origin = headers.get(ORIGIN)
    if headers.get(FETCH_SITE) in OTHER_SITES or (origin is not None and not _is_same_host(origin, host)):
        raise Forbidden(f"{CHANGING[right]} by a page of another site")
    is_page = origin is not None or scope["method"] in READING_METHODS  # of which browsers name no origin
    if is_page and not caller.has_key and not _is_own_name(host):
        raise Forbidden(NAMED)


def _read_host(scope: Scope) -> str:
    """The `Host` of the request, empty for one without it."""
    host: bytes = dict(scope["headers"]).get(HOST, b"")
    return host.decode("latin-1")


def _is_same_host(origin: bytes, host: str) -> bool:
    try:
        return bool(host) and urlsplit(origin.decode("latin-1")).netloc == host
    except ValueError:
        return False


def _is_own_name(host: str) -> bool:
    """Whether no foreign page can be under this `Host`; a request without one is of no browser."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return not host or name == LOCAL or _is_address(name)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
