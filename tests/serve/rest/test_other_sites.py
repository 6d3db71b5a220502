"""What a page of another site may make a browser ask: nothing that changes or costs anything."""

from pathlib import Path

import pytest

from serve.access.control import Authorizer
from serve.access.keys import Role, format_key
from serve.rest.access import Forbidden, admit
from tests.serve.in_process import Client
from tests.serve.rest.test_access import AWAY, INFER, INSTANCES, LOAD, PREDICT, SECRETS, make_scope

FEEDBACK = "/adaptact/v1/feedback"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.toml"
    path.write_text("".join(format_key(role, key, frozenset({role})) for role, key in SECRETS.items()))
    return path


def _authorized(key: str) -> dict[str, str]:
    return {"authorization": key} if key else {}


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://example.org", "127.0.0.1:8000"),
        ("null", "127.0.0.1:8000"),
        ("http://127.0.0.1:9000", "127.0.0.1:8000"),
        ("http://[", "127.0.0.1:8000"),
    ],
)
def test_a_page_of_another_site_changes_nothing(keys: Path, origin: str, host: str) -> None:
    for key in ("", "Bearer secret-of-admin"):
        scope = make_scope("POST", LOAD, "127.0.0.1", origin=origin, host=host, **_authorized(key))
        with pytest.raises(Forbidden, match="a page of another site"):
            admit(Authorizer(keys, is_local_admin=True), "admin", scope)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("right", ["admin", "feedback"])
def test_what_a_browser_calls_another_site_changes_nothing(keys: Path, right: Role, site: str) -> None:
    # Without an `Origin`, which a proxy may have taken away.
    named = {"sec-fetch-site": site, "host": "127.0.0.1:8000"}
    with pytest.raises(Forbidden, match="a page of another site"):
        admit(Authorizer(), right, make_scope("POST", FEEDBACK, "127.0.0.1", **named))
    keyed = named | _authorized(f"Bearer secret-of-{right}")
    with pytest.raises(Forbidden, match="a page of another site"):
        admit(Authorizer(keys), right, make_scope("POST", FEEDBACK, AWAY, **keyed))


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9000"])
def test_a_page_of_another_site_reports_no_outcomes(origin: str) -> None:
    scope = make_scope("POST", FEEDBACK, "127.0.0.1", origin=origin, host="127.0.0.1:8000")
    with pytest.raises(Forbidden, match="outcomes are not taken by a page of another site"):
        admit(Authorizer(), "feedback", scope)


def test_a_rebound_name_reports_no_outcomes_and_programs_do_under_any_name() -> None:
    named = {"host": "example.org:8000"}
    with pytest.raises(Forbidden, match="localhost"):
        admit(
            Authorizer(), "feedback", make_scope("POST", FEEDBACK, **named, origin="http://example.org:8000")
        )
    admit(Authorizer(), "feedback", make_scope("POST", FEEDBACK, **named))
    admit(Authorizer(), "admin", make_scope("POST", LOAD, "127.0.0.1", **named))
    own = {"host": "localhost:8000", "origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
    for right in ("feedback", "admin"):
        admit(Authorizer(), right, make_scope("POST", FEEDBACK, "127.0.0.1", **own))


@pytest.mark.parametrize("path", [INFER, PREDICT])
def test_models_answer_no_page_of_another_site(client: Client, path: str) -> None:
    body = b'{"inputs": [{"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}]}'
    body = body if path == INFER else INSTANCES
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        assert client.post(path, body, {"Sec-Fetch-Site": site}).status_code == status


def test_an_origin_of_nothing_is_not_that_of_a_missing_host() -> None:
    for host in ({}, {"host": ""}):
        with pytest.raises(Forbidden):
            admit(Authorizer(), "admin", make_scope("POST", LOAD, "127.0.0.1", origin="null", **host))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_a_page_of_this_server_may(host: str) -> None:
    admit(Authorizer(), "admin", make_scope("POST", LOAD, "127.0.0.1", origin=f"http://{host}", host=host))


def test_a_rebound_dns_name_needs_a_key(keys: Path) -> None:
    named = {"origin": "http://example.org:8000", "host": "example.org:8000"}
    for authorizer, headers in (
        (Authorizer(), _authorized("Bearer secret-of-admin")),
        (Authorizer(keys, is_local_admin=True), {}),
    ):
        with pytest.raises(Forbidden):
            admit(authorizer, "admin", make_scope("POST", LOAD, "127.0.0.1", **named, **headers))
    admit(
        Authorizer(keys),
        "admin",
        make_scope("POST", LOAD, AWAY, **named, authorization="Bearer secret-of-admin"),
    )


@pytest.mark.slow
def test_what_is_forbidden_is_answered_in_json(client: Client) -> None:
    response = client.post(LOAD, b"", {"Origin": "https://example.org"})
    assert response.status_code == 403
    assert response.json() == {"error": "models and settings cannot be changed by a page of another site"}
