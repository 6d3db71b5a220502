from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from serve.access.control import AccessControl, open_access_control
from serve.access.keys import ROLES, format_key
from serve.engine import Engine
from serve.rest.app import create_app
from serve.rest.overview import MOST_LINES
from serve.settings import Settings
from tests.serve import models
from tests.serve.in_process import Client
from tests.serve.rest.test_access import AWAY, LOAD, _ask

ME, MODELS, AUDIT = "/adaptact/v1/me", "/adaptact/v1/models", "/adaptact/v1/audit"
SIGNATURE = "ed25519:" + "ab" * 32 + ":" + "cd" * 64


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    made = [format_key("ops", "secret-of-ops", frozenset({"admin", "infer"}))]
    path.write_text("".join(made) + format_key("all", "secret-of-all", frozenset(ROLES)))
    return path


@pytest.fixture
def access(keys: Path, tmp_path: Path) -> Iterator[AccessControl]:
    opened = open_access_control(keys, 0, tmp_path / "audit.jsonl")
    yield opened
    opened.audit_log.close()


def _answer_me(client: Client, host: str, **headers: str) -> dict[str, object]:
    answered = client.request("GET", ME, headers={"Host": host} | headers)
    assert answered.status_code == 200
    content: dict[str, object] = answered.json()
    return content


def test_without_keys_only_this_machine_may_administer(fresh_engine: Engine, changing: Path) -> None:
    app = create_app(fresh_engine, Settings(models=changing))
    assert _answer_me(Client(app), "localhost:8000") == {
        "name": "127.0.0.1",
        "roles": ["infer", "admin", "metrics", "feedback"],
        "has_key": False,
        "needs_key": False,
        "experiments": False,
        "audit": False,
    }
    # A name that was pointed at this machine must not be told what it would be refused.
    assert _answer_me(Client(app), "evil.example")["roles"] == ["infer", "metrics", "feedback"]
    assert _ask(app, "GET", ME).json()["roles"] == ["infer", "metrics", "feedback"]


def test_with_keys_the_key_says_who_asks(fresh_engine: Engine, changing: Path, access: AccessControl) -> None:
    app = create_app(fresh_engine, Settings(models=changing), access=access)
    stranger = _ask(app, "GET", ME).json()
    assert (stranger["roles"], stranger["needs_key"], stranger["audit"]) == ([], True, True)
    known = _ask(app, "GET", ME, "secret-of-ops").json()
    assert (known["name"], known["roles"], known["has_key"]) == ("ops", ["infer", "admin"], True)
    assert _ask(app, "GET", ME, "wrong").status_code == 401
    assert _ask(app, "GET", ME, headers={"Authorization": "Basic b3BzOng="}).status_code == 401


def test_every_version_says_what_its_file_says(tmp_path: Path, fresh_engine: Engine, changing: Path) -> None:
    client = Client(create_app(fresh_engine, Settings(models=changing)))
    fresh_engine.point_alias("double", "stable", "1")
    signed = models.with_manifest(models.model(models.DOUBLE), {"format": 1})
    signed.metadata_props.add(key="adaptact.signature", value=SIGNATURE)
    models.put(changing, "signed", signed)
    models.put(changing, "broken", models.model(models.DOUBLE))
    (changing / "broken" / "1" / "model.onnx").write_bytes(b"nothing")
    for name, status in (("signed", 200), ("broken", 422)):
        answered = client.post(f"/v2/repository/models/{name}/load", headers={"Host": "localhost"})
        assert answered.status_code == status
    broken, first, second, third = client.get(MODELS).json()["models"]
    assert (broken["name"], broken["state"], broken["bytes"]) == ("broken", "UNAVAILABLE", None)
    assert "cannot load" in broken["reason"]
    assert (broken["provider"], broken["signature"], broken["is_default"]) == (None, None, False)
    assert (first["version"], first["is_default"], first["aliases"]) == ("1", True, ["stable"])
    assert (second["version"], second["is_default"], second["aliases"]) == ("2", False, [])
    assert (first["parity"], first["signature"], first["provider"]) == (None, "none", "cpu")
    assert first["bytes"] == (changing / "double" / "1" / "model.onnx").stat().st_size
    assert (third["parity"], third["signature"], third["signer"]) == ("unknown", "unverified", "ab" * 32)
    verified = Settings(models=changing, require_signature=tmp_path / "key.pem")
    third = Client(create_app(fresh_engine, verified)).get(MODELS).json()["models"][3]
    assert third["signature"] == "verified"


def test_the_audit_log_is_read_by_administrators_and_reading_is_not_noted(
    fresh_engine: Engine, changing: Path, access: AccessControl
) -> None:
    app = create_app(fresh_engine, Settings(models=changing), access=access)
    _ask(app, "POST", LOAD)
    _ask(app, "POST", LOAD, "secret-of-ops", headers={"X-Request-Id": "r-7"})
    page = _ask(app, "GET", AUDIT, "secret-of-ops").json()
    assert [(each["caller"], each["status"], each["outcome"]) for each in page["entries"]] == [
        ("ops", 200, "done"),
        (AWAY, 401, "refused"),
    ]
    assert {each["action"] for each in page["entries"]} == {f"POST {LOAD}"}
    assert page["entries"][0]["request_id"] == "r-7"
    assert (page["next"], page["damaged"]) == (None, 0)
    newest = _ask(app, "GET", f"{AUDIT}?limit=1", "secret-of-ops").json()
    older = _ask(app, "GET", f"{AUDIT}?limit=2&before={newest['next']}", "secret-of-ops").json()
    assert newest["entries"] + older["entries"] == page["entries"]
    found = _ask(app, "GET", f"{AUDIT}?text=LOAD%20{AWAY}&outcome=refused", "secret-of-ops").json()
    assert found["entries"] == page["entries"][1:]
    for refused in (_ask(app, "GET", AUDIT), _ask(app, "GET", AUDIT, "wrong")):
        assert refused.status_code == 401
    assert len(_ask(app, "GET", AUDIT, "secret-of-ops").json()["entries"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        f"limit={MOST_LINES + 1}",
        "limit=x",
        "before=x",
        "before=" + "1" * 41,
        "outcome=x",
        "text=" + "x" * 201,
    ],
)
def test_what_is_asked_of_the_audit_log_is_bounded(
    fresh_engine: Engine, changing: Path, access: AccessControl, query: str
) -> None:
    app = create_app(fresh_engine, Settings(models=changing), access=access)
    _ask(app, "POST", LOAD)
    answered = _ask(app, "GET", f"{AUDIT}?{query}", "secret-of-ops")
    assert answered.status_code == 400
    assert "error" in answered.json()


def test_without_a_file_the_audit_log_says_where_it_would_be(client: Client) -> None:
    answered = client.request("GET", AUDIT, headers={"Host": "127.0.0.1:8000"})
    assert answered.status_code == 404
    assert "--audit-log" in answered.json()["error"]


def test_without_keys_a_name_that_was_pointed_here_reads_no_audit_log(client: Client) -> None:
    refused = client.request("GET", AUDIT, headers={"Host": "evil.example"})
    assert refused.status_code == 403
    framed = {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}
    assert client.request("GET", AUDIT, headers=framed).status_code == 403


def test_other_roles_read_no_audit_log(fresh_engine: Engine, changing: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text(format_key("eye", "secret-of-eye", frozenset({"metrics", "infer", "feedback"})))
    app = create_app(fresh_engine, Settings(models=changing, keys=keys, audit_log=tmp_path / "audit.jsonl"))
    answered: httpx.Response = _ask(app, "GET", AUDIT, "secret-of-eye")
    assert answered.status_code == 403
    assert _ask(app, "GET", MODELS, "secret-of-eye").status_code == 200
