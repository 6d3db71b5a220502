import errno
import json
import logging
import os
from datetime import datetime
from pathlib import Path

import pytest

from serve.access import allowance
from serve.access.control import STRANGER_SECONDS, STRANGERS_AT_ONCE, AuditLog, Authorizer
from serve.access.errors import AuditError, ClientLimitError, KeyRequiredError, RoleRequiredError
from serve.access.keys import ROLES, Role, format_key
from serve.engine.errors import StartupError


def test_every_action_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text('{"older": true}\n')
    audit = AuditLog(path)
    audit.record("ops", "POST /v2/repository/models/m/load", 200, "r-1")
    audit.record("10.0.0.7", "PUT /a\nb", 403, "r-2")
    audit.close()
    older, first, second = map(json.loads, path.read_text().splitlines())
    assert older == {"older": True}
    assert first.items() >= {"caller": "ops", "status": 200, "request_id": "r-1"}.items()
    assert datetime.fromisoformat(first["time"]).utcoffset() is not None
    assert second["action"] == "PUT /a\nb"  # and yet one line


def test_without_a_file_the_servers_log_has_the_line_whatever_its_level(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (None, "adaptact"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.WARNING)
    AuditLog().record("ops", "DELETE /x", 404, "r-3")
    assert json.loads(caplog.messages[0])["action"] == "DELETE /x"


def test_strangers_cannot_fill_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr(allowance, "monotonic", lambda: now)
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    for number in range(STRANGERS_AT_ONCE + 50):
        audit.record_stranger("192.0.2.1", "POST /console", 401, f"r-{number}")
    audit.record("ops", "DELETE /x", 404, "known")
    now += STRANGER_SECONDS
    for number in range(2):
        audit.record_stranger("192.0.2.1", "POST /console", 401, f"later-{number}")
    audit.close()
    noted = [json.loads(line)["request_id"] for line in path.read_text().splitlines()]
    assert noted == [*(f"r-{number}" for number in range(STRANGERS_AT_ONCE)), "known", "later-0"]
    assert "50 refused requests of strangers are not in the audit log" in caplog.text


def test_a_file_that_cannot_be_written_is_named_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="No such file"):
        AuditLog(tmp_path / "missing" / "audit.jsonl")


def test_a_new_file_is_begun_where_the_old_was_moved_away(tmp_path: Path) -> None:
    path, moved = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    audit = AuditLog(path)
    audit.record("ops", "one", 200, "r-1")
    path.rename(moved)
    audit.record("ops", "two", 200, "r-2")
    audit.close()
    assert [json.loads(each.read_text())["action"] for each in (moved, path)] == ["one", "two"]


def test_a_line_that_cannot_be_written_is_in_the_servers_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    audit = AuditLog(folder / "audit.jsonl")
    folder.rename(tmp_path / "moved")
    audit.record("ops", "one", 200, "r-1")
    audit.close()
    assert "the audit log cannot be written (No such file or directory)" in caplog.text
    assert '"action": "one"' in caplog.text


@pytest.mark.parametrize("room", [0, 20])
def test_an_action_that_cannot_be_recorded_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, room: int
) -> None:
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    write = os.write

    def write_until_full(descriptor: int, line: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, line[:room])

    with monkeypatch.context() as full:
        full.setattr(os, "write", write_until_full)
        with pytest.raises(AuditError, match=r"No space left on device.* nothing was done"):
            audit.begin("ops", "POST /load", "r-1")
    assert '"action": "POST /load"' in caplog.text
    audit.begin("ops", "POST /again", "r-2")
    audit.close()
    *_, last = path.read_text().splitlines()
    assert json.loads(last)["action"] == "POST /again"


AWAY = "192.0.2.7"
HERE = ("127.0.0.1", "::1", "127.8.9.1", "::ffff:127.0.0.1", None)
SECRETS: dict[Role, str] = {role: f"secret of {role}" for role in ROLES}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text("".join(format_key(role, secret, frozenset({role})) for role, secret in SECRETS.items()))
    return path


@pytest.mark.parametrize("role", ["infer", "metrics"])
def test_without_a_keys_file_anybody_may_infer_and_read_metrics(role: Role) -> None:
    assert Authorizer().admit(role, None, AWAY).name == AWAY


def test_without_a_keys_file_only_this_machine_administers() -> None:
    for address in HERE:
        Authorizer().admit("admin", None, address)
    with pytest.raises(KeyRequiredError, match="from this machine"):
        Authorizer().admit("admin", None, AWAY)


@pytest.mark.parametrize("needed", ROLES)
@pytest.mark.parametrize("had", ROLES)
def test_a_key_allows_what_its_roles_say_and_nothing_else(keys: Path, needed: Role, had: Role) -> None:
    gate = Authorizer(keys)
    for scheme in ("Bearer", "bearer", "BEARER"):
        if needed == had:
            assert gate.admit(needed, f"{scheme} {SECRETS[had]}", AWAY).name == had
            continue
        with pytest.raises(RoleRequiredError, match=f"the key `{had}` does not have the role `{needed}`"):
            gate.admit(needed, f"{scheme} {SECRETS[had]}", AWAY)


@pytest.mark.parametrize("role", ROLES)
def test_a_keys_file_asks_other_machines_for_a_key(keys: Path, role: Role) -> None:
    with pytest.raises(KeyRequiredError):
        Authorizer(keys).admit(role, None, AWAY)


@pytest.mark.parametrize("role", ROLES)
def test_a_keys_file_asks_this_machine_for_a_key_too(keys: Path, role: Role) -> None:
    with pytest.raises(KeyRequiredError, match="this server needs a key"):
        Authorizer(keys).admit(role, None, "127.0.0.1")


def test_a_local_administrator_needs_no_key_if_so_set(keys: Path) -> None:
    gate = Authorizer(keys, is_local_admin=True)
    assert not gate.admit("admin", None, "127.0.0.1").has_key
    refused: tuple[tuple[Role, str], ...] = (
        ("infer", "127.0.0.1"),
        ("admin", AWAY),
        ("admin", "127.0.0.1 (forwarded)"),
    )
    for role, address in refused:
        with pytest.raises(KeyRequiredError):
            gate.admit(role, None, address)


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic secret of admin", "", "secret of admin"])
@pytest.mark.parametrize("address", [AWAY, "127.0.0.1"])
def test_a_wrong_key_is_refused_wherever_it_comes_from(keys: Path, given: str, address: str) -> None:
    with pytest.raises(KeyRequiredError) as refused:
        Authorizer(keys).admit("admin", given, address)
    assert "secret" not in str(refused.value)


def test_a_client_over_its_limit_learns_when_to_retry(keys: Path) -> None:
    keys.write_text(
        format_key("slow", "s", frozenset({"infer"}), 0.001) + format_key("fast", "f", frozenset({"infer"}))
    )
    gate = Authorizer(keys)
    gate.admit("infer", "Bearer s", AWAY)
    with pytest.raises(ClientLimitError) as refused:
        gate.admit("infer", "Bearer s", "192.0.2.8")  # a key counts wherever it is used from
    assert 0 < refused.value.retry_after_seconds <= 1000
    for _ in range(100):
        gate.admit("infer", "Bearer f", AWAY)


def test_without_keys_the_limit_is_counted_by_address() -> None:
    gate = Authorizer(requests_per_second=0.001)
    gate.admit("infer", None, AWAY)
    with pytest.raises(ClientLimitError):
        gate.admit("infer", None, AWAY)
    gate.admit("infer", None, "192.0.2.8")
    assert not gate.is_open
    assert Authorizer().is_open


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.0.0.1.example.org", "10.0.0.1", "::ffff:192.0.2.1"]
)
def test_other_addresses_are_not_this_machine(address: str) -> None:
    with pytest.raises(KeyRequiredError):
        Authorizer().admit("admin", None, address)


def test_a_refused_caller_is_named(keys: Path) -> None:
    gate = Authorizer(keys)
    assert gate.identify(f"Bearer {SECRETS['infer']}", AWAY).name == "infer"
    for given in (None, "Bearer wrong", "Basic x"):
        assert gate.identify(given, AWAY).name == AWAY
    assert gate.identify(None, None).name == "this machine"
    assert Authorizer().identify(f"Bearer {SECRETS['infer']}", AWAY).name == AWAY


def test_a_caller_has_a_key_or_has_not(keys: Path) -> None:
    assert Authorizer(keys).admit("admin", f"Bearer {SECRETS['admin']}", AWAY).has_key
    assert not Authorizer().admit("admin", None, "127.0.0.1").has_key
