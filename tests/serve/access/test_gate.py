from pathlib import Path

import pytest

from serve.access.errors import ClientLimitError, KeyRequiredError, RoleRequiredError
from serve.access.gate import Gate
from serve.access.keys import ROLES, Role, entry

AWAY = "192.0.2.7"
HERE = ("127.0.0.1", "::1", "127.8.9.1", "::ffff:127.0.0.1", None)
SECRETS: dict[Role, str] = {role: f"secret of {role}" for role in ROLES}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text("".join(entry(role, secret, frozenset({role})) for role, secret in SECRETS.items()))
    return path


@pytest.mark.parametrize("role", ["infer", "metrics"])
def test_without_a_keys_file_anybody_may_infer_and_read_metrics(role: Role) -> None:
    assert Gate().admit(role, None, AWAY).name == AWAY


def test_without_a_keys_file_only_this_machine_administers() -> None:
    for address in HERE:
        Gate().admit("admin", None, address)
    with pytest.raises(KeyRequiredError, match="from this machine"):
        Gate().admit("admin", None, AWAY)


@pytest.mark.parametrize("needed", ROLES)
@pytest.mark.parametrize("had", ROLES)
def test_a_key_allows_what_its_roles_say_and_nothing_else(keys: Path, needed: Role, had: Role) -> None:
    gate = Gate(keys)
    for scheme in ("Bearer", "bearer", "BEARER"):
        if needed == had:
            assert gate.admit(needed, f"{scheme} {SECRETS[had]}", AWAY).name == had
            continue
        with pytest.raises(RoleRequiredError, match=f"the key `{had}` does not have the role `{needed}`"):
            gate.admit(needed, f"{scheme} {SECRETS[had]}", AWAY)


@pytest.mark.parametrize("role", ROLES)
def test_with_a_keys_file_who_is_away_needs_a_key_for_everything(keys: Path, role: Role) -> None:
    with pytest.raises(KeyRequiredError):
        Gate(keys).admit(role, None, AWAY)


def test_with_a_keys_file_this_machine_still_administers_but_infers_with_a_key(keys: Path) -> None:
    Gate(keys).admit("admin", None, "127.0.0.1")
    with pytest.raises(KeyRequiredError):
        Gate(keys).admit("infer", None, "127.0.0.1")


@pytest.mark.parametrize("given", ["Bearer wrong", "Bearer", "Basic secret of admin", "", "secret of admin"])
@pytest.mark.parametrize("address", [AWAY, "127.0.0.1"])
def test_a_wrong_key_is_refused_wherever_it_comes_from(keys: Path, given: str, address: str) -> None:
    with pytest.raises(KeyRequiredError) as refused:
        Gate(keys).admit("admin", given, address)
    assert "secret" not in str(refused.value)


def test_a_client_over_its_own_limit_is_told_when_to_come_again(keys: Path) -> None:
    keys.write_text(
        entry("slow", "s", frozenset({"infer"}), 0.001) + entry("fast", "f", frozenset({"infer"}))
    )
    gate = Gate(keys)
    gate.admit("infer", "Bearer s", AWAY)
    with pytest.raises(ClientLimitError) as refused:
        gate.admit("infer", "Bearer s", "192.0.2.8")  # a key counts wherever it is used from
    assert 0 < refused.value.retry_after_seconds <= 1000
    for _ in range(100):
        gate.admit("infer", "Bearer f", AWAY)


def test_the_limit_for_everybody_is_counted_by_address_without_keys() -> None:
    gate = Gate(requests_per_second=0.001)
    gate.admit("infer", None, AWAY)
    with pytest.raises(ClientLimitError):
        gate.admit("infer", None, AWAY)
    gate.admit("infer", None, "192.0.2.8")
    assert not gate.is_open
    assert Gate().is_open


@pytest.mark.parametrize(
    "address", ["", "localhost", "127.0.0.1.example.org", "10.0.0.1", "::ffff:192.0.2.1"]
)
def test_what_is_not_surely_this_machine_is_not(address: str) -> None:
    with pytest.raises(KeyRequiredError):
        Gate().admit("admin", None, address)


def test_whoever_is_turned_away_is_named_all_the_same(keys: Path) -> None:
    gate = Gate(keys)
    assert gate.named(f"Bearer {SECRETS['infer']}", AWAY).name == "infer"
    for given in (None, "Bearer wrong", "Basic x"):
        assert gate.named(given, AWAY).name == AWAY
    assert gate.named(None, None).name == "this machine"
    assert Gate().named(f"Bearer {SECRETS['infer']}", AWAY).name == AWAY


def test_a_caller_has_a_key_or_has_not(keys: Path) -> None:
    assert Gate(keys).admit("admin", f"Bearer {SECRETS['admin']}", AWAY).has_key
    assert not Gate(keys).admit("admin", None, "127.0.0.1").has_key
