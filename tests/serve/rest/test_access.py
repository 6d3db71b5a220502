import asyncio
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Scope

from serve.access.control import AccessControl, Authorizer, open_access_control
from serve.access.errors import KeyRequiredError, RoleRequiredError
from serve.access.keys import ROLES, Role, format_key
from serve.access.log_file import LogFile
from serve.access.proxies import parse_proxies
from serve.engine import Engine
from serve.rest.access import CALLER, admit, is_administration, read_sender, right_for
from serve.rest.app import create_app
from serve.settings import Settings

LOAD = "/v2/repository/models/double/load"
INFER = "/v2/models/double/infer"
PREDICT = "/v1/models/double:predict"
INSTANCES = b'{"instances": [[1, 2, 3]]}'
AWAY = "192.0.2.1"
NO_HEADERS: Mapping[str, str] = {}
SECRETS: dict[Role, str] = {role: f"secret-of-{role}" for role in ROLES}


def make_scope(method: str, path: str, peer: str | None = AWAY, **headers: str) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "client": None if peer is None else (peer, 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2"),
        ("GET", "/v2/logging"),
        ("HEAD", "/anything"),
        ("POST", INFER),
        ("POST", "/v2/models/double/versions/1/infer"),
        ("POST", PREDICT),
        ("POST", "/v1/models/double/versions/stable:predict"),
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/health/live/more"),
        ("GET", "/v2/models/a/b/ready"),
        ("OPTIONS", INFER),
    ],
)
def test_asking_is_for_everybody_unless_there_are_keys(keys: Path, method: str, path: str) -> None:
    assert not is_administration(method, path)
    assert right_for(method, path) == "infer"
    admit(Authorizer(), right_for(method, path), make_scope(method, path))
    with pytest.raises(KeyRequiredError):
        admit(Authorizer(keys), right_for(method, path), make_scope(method, path))


@pytest.mark.parametrize(
    "path",
    [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/double/ready",
        "/v2/models/double/versions/1/ready",
        "/v1/models/double",
        "/docs",
        "/docs/favicon.png",
        "/openapi.json",
        "/console",
        "/console/pages/live.js",
        "/adaptact/v1/me",
    ],
)
def test_what_load_balancers_ask_and_the_docs_need_no_key(keys: Path, path: str) -> None:
    assert right_for("GET", path) == "free"
    admit(Authorizer(keys), "free", make_scope("GET", path))
    assert right_for("POST", path) == "admin"


@pytest.mark.parametrize("path", ["/metrics", "/metrics\n", "/metrics/", "/adaptact/v1/live"])
def test_metrics_have_a_role_of_their_own(path: str) -> None:
    assert right_for("GET", path) == "metrics"


@pytest.mark.parametrize("path", ["/adaptact/v1/audit", "/adaptact/v1/audit\n"])
def test_the_audit_log_is_for_administrators_whose_reading_is_no_administration(path: str) -> None:
    assert right_for("GET", path) == right_for("HEAD", path) == "admin"
    assert not is_administration("GET", path)
    assert is_administration("DELETE", path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", LOAD),
        ("POST", "/v2/repository/models/double/unload"),
        ("POST", "/v2/logging"),
        ("POST", "/v2/trace/setting"),
        ("PUT", "/adaptact/v1/models/double/aliases/stable"),
        ("DELETE", "/adaptact/v1/models/double/aliases/stable"),
        ("POST", "/what/is/not/known"),
        ("POST", "/v2/models/a/b/infer"),
    ],
)
@pytest.mark.parametrize("peer", [AWAY, "::ffff:192.0.2.1", "10.0.0.1", "name"])
def test_any_other_change_needs_this_machine_or_a_key(keys: Path, method: str, path: str, peer: str) -> None:
    assert right_for(method, path) == "admin"
    for authorizer in (Authorizer(), Authorizer(keys, is_local_admin=True)):
        with pytest.raises(KeyRequiredError):
            admit(authorizer, "admin", make_scope(method, path, peer))
        for own in ("127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", None):
            admit(authorizer, "admin", make_scope(method, path, own))
    with pytest.raises(RoleRequiredError):
        admit(
            Authorizer(keys), "admin", make_scope(method, path, peer, authorization="Bearer secret-of-infer")
        )
    scope = make_scope(method, path, peer, authorization="Bearer secret-of-admin")
    admit(Authorizer(keys), "admin", scope)
    assert scope[CALLER] == "admin"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    made = [format_key(role, secret, frozenset({role})) for role, secret in SECRETS.items()]
    path.write_text("".join(made) + format_key("once", "secret-of-once", frozenset({"infer"}), 0.001))
    return path


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def access(keys: Path, audit: Path) -> Iterator[AccessControl]:
    opened = open_access_control(keys, 0, audit)
    yield opened
    opened.audit_log.close()


@pytest.fixture
def app(fresh_engine: Engine, changing: Path, access: AccessControl) -> ASGIApp:
    return create_app(fresh_engine, Settings(models=changing), access=access)


def _ask(
    app: ASGIApp,
    method: str,
    path: str,
    key: str = "",
    content: bytes = b"",
    headers: Mapping[str, str] = NO_HEADERS,
) -> httpx.Response:
    """The answer to a client on another machine."""

    async def request() -> httpx.Response:
        transport = httpx.ASGITransport(app, client=(AWAY, 1))
        given = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return await client.request(method, path, content=content, headers=given | dict(headers))

    return asyncio.run(request())


@pytest.mark.parametrize("path", [PREDICT, INFER, "/v1/models/double/versions/1:predict"])
def test_without_the_key_that_it_takes_nothing_is_inferred(app: ASGIApp, path: str) -> None:
    refused = _ask(app, "POST", path, "", INSTANCES)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert _ask(app, "POST", path, "wrong", INSTANCES).status_code == 401
    assert _ask(app, "POST", path, "secret-of-admin", INSTANCES).status_code == 403
    assert _ask(app, "POST", path, "secret-of-infer", INSTANCES).status_code == (
        400 if path == INFER else 200
    )


def test_each_key_reads_what_is_its_own(app: ASGIApp) -> None:
    for path, role in (("/metrics", "metrics"), ("/v2/models/double", "infer"), ("/v2", "infer")):
        for each, secret in SECRETS.items():
            answered = _ask(app, "GET", path, secret)
            assert answered.status_code == (200 if each == role else 403)
            if each != role:
                assert answered.json().items() >= {"key": each, "role": role}.items()
        assert _ask(app, "GET", path).status_code == 401
    assert _ask(app, "GET", "/v2/health/ready").status_code == 200


def test_a_client_over_its_limit_is_told_when_to_come_again(app: ASGIApp) -> None:
    assert _ask(app, "POST", PREDICT, "secret-of-once", INSTANCES).status_code == 200
    refused = _ask(app, "POST", PREDICT, "secret-of-once", INSTANCES)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 1000


@pytest.mark.slow
def test_administration_is_audited_without_secrets(app: ASGIApp, audit: Path) -> None:
    named = {"X-Request-Id": "r-1"}
    foreign = named | {"Origin": "https://example.org"}
    _ask(app, "POST", LOAD, "secret-of-admin", headers=named)
    _ask(app, "POST", LOAD, "secret-of-infer", headers=named | {"Cookie": "secret"})
    _ask(app, "POST", LOAD, "wrong", headers=named)
    _ask(app, "POST", LOAD, "secret-of-admin", headers=foreign)
    _ask(app, "POST", "/v2/repository/models/nope/load", "secret-of-admin", headers=named)
    _ask(app, "DELETE", "/x" * 1000, headers=named)
    _ask(app, "POST", PREDICT, "secret-of-infer", INSTANCES, named)  # nothing that an administrator does
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [(each["caller"], each["action"], each["status"], each["request_id"]) for each in lines] == [
        ("admin", f"POST {LOAD}", None, "r-1"),
        ("admin", f"POST {LOAD}", 200, "r-1"),
        ("infer", f"POST {LOAD}", 403, "r-1"),
        (AWAY, f"POST {LOAD}", 401, "r-1"),
        ("admin", f"POST {LOAD}", 403, "r-1"),
        ("admin", "POST /v2/repository/models/nope/load", None, "r-1"),
        ("admin", "POST /v2/repository/models/nope/load", 404, "r-1"),
        (AWAY, "DELETE " + ("/x" * 1000)[:512], 401, "r-1"),
    ]
    assert "secret" not in audit.read_text()


def test_what_cannot_be_audited_is_not_done(
    app: ASGIApp, fresh_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(LogFile, "write", fail)
        refused = _ask(app, "POST", "/v2/repository/models/double/unload", "secret-of-admin")
    assert refused.status_code == 503
    assert "the audit log cannot be written (No space left on device)" in refused.json()["error"]
    assert "double" in fresh_engine.names()


@pytest.mark.parametrize(
    ("forwarded", "proxies", "caller"),
    [
        ((), "", AWAY),
        (("127.0.0.1",), "", f"{AWAY} (forwarded)"),
        (("127.0.0.1",), "10.0.0.0/8", f"{AWAY} (forwarded)"),
        (("203.0.113.9",), f"10.0.0.0/8,{AWAY}", "203.0.113.9"),
        (("127.0.0.1", "203.0.113.9, 10.1.2.3"), f"10.0.0.0/8,{AWAY}", "203.0.113.9"),
        (("203.0.113.9, ::ffff:10.1.2.3",), f"10.0.0.0/8,{AWAY}", "203.0.113.9"),
        (("10.1.2.3",), f"10.0.0.0/8,{AWAY}", f"{AWAY} (forwarded)"),
        (("unknown",), AWAY, f"{AWAY} (forwarded)"),
        (("203.0.113.9, ",), AWAY, f"{AWAY} (forwarded)"),
        (("127.0.0.1",), AWAY, f"{AWAY} (forwarded)"),
        (("::ffff:127.0.0.1",), AWAY, f"{AWAY} (forwarded)"),
    ],
)
def test_only_a_named_proxy_names_the_client(forwarded: Sequence[str], proxies: str, caller: str) -> None:
    scope = make_scope("POST", LOAD)
    scope["headers"] = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert read_sender(scope, parse_proxies(proxies)) == (None, caller)
    with pytest.raises(KeyRequiredError):
        admit(Authorizer(proxies=parse_proxies(proxies)), "admin", scope)


def test_a_client_cannot_name_itself_beside_its_proxy() -> None:
    scope = make_scope("POST", LOAD)
    scope["headers"] = [(b"x-forwarded-for", b"203.0.113.9"), (b"forwarded", b"127.0.0.1")]
    assert read_sender(scope, parse_proxies(AWAY))[1] == "203.0.113.9"


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_a_request_that_was_passed_on_is_not_this_machines(header: str) -> None:
    scope = make_scope("POST", LOAD, "127.0.0.1", **{header: "for=127.0.0.1"})
    with pytest.raises(KeyRequiredError):
        admit(Authorizer(), "admin", scope)


def test_the_settings_say_which_keys_there_are(fresh_engine: Engine, changing: Path, keys: Path) -> None:
    closed = create_app(fresh_engine, Settings(models=changing, keys=keys))
    assert _ask(closed, "POST", PREDICT, "", INSTANCES).status_code == 401
    limited = create_app(fresh_engine, Settings(models=changing, client_requests_per_second=0.001))
    assert [_ask(limited, "POST", PREDICT, "", INSTANCES).status_code for _ in range(2)] == [200, 429]


def test_no_other_site_is_told_that_it_may_read(app: ASGIApp) -> None:
    asking = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    for method, path in (("OPTIONS", INFER), ("OPTIONS", LOAD), ("POST", INFER), ("GET", "/v2/health/live")):
        answered = _ask(app, method, path, "secret-of-infer", headers=asking)
        assert [name for name in answered.headers if name.startswith("access-control-")] == []
        assert answered.status_code == (405 if method == "OPTIONS" else answered.status_code)
