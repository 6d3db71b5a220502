import errno
import hashlib
import os
import tomllib
from pathlib import Path

import pytest

from serve.access import keys, reloaded_file
from serve.access.errors import KeysFileError
from serve.access.keys import KeysFile, format_key, generate_secret, hash_key, read_keys

SECRET = "adaptact_a-secret-that-nobody-has"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text(format_key("line-3", SECRET, frozenset({"infer"}), 100))
    return path


def test_the_file_holds_the_digest_and_not_the_key(file: Path) -> None:
    [found] = tomllib.loads(file.read_text())["key"]
    assert found["sha256"] == hashlib.sha256(SECRET.encode()).hexdigest()
    assert SECRET not in file.read_text()


def test_a_key_is_found_with_its_roles_and_its_limit(file: Path) -> None:
    found = KeysFile(file).find(SECRET)
    assert found is not None
    assert (found.name, sorted(found.roles), found.requests_per_second) == ("line-3", ["infer"], 100)


@pytest.mark.parametrize("other", ["", SECRET[:-1], SECRET + "x", SECRET.upper(), "ключ", "x" * 10**6])
def test_no_other_text_is_a_key(file: Path, other: str) -> None:
    assert KeysFile(file).find(other) is None


def test_every_key_is_new_and_long_enough_not_to_be_guessed() -> None:
    made = {generate_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) >= 43 for each in made)


def test_keys_are_compared_in_constant_time(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("".join(format_key(f"k{n}", f"{SECRET}{n}", frozenset({"infer"})) for n in range(5)))
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("serve.access.keys.hmac.compare_digest", compare)
    found = KeysFile(file).find(f"{SECRET}0")
    assert found is not None
    assert found.name == "k0"
    assert compared == [hash_key(f"{SECRET}{n}") for n in range(5)]  # it does not stop at the first


def test_a_changed_file_is_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    served = KeysFile(file)
    file.write_text(format_key("new", "another", frozenset({"admin"})))
    assert served.find(SECRET) is None
    assert served.find("another") is not None


@pytest.mark.parametrize("broken", ["[[key", None])
def test_a_file_that_breaks_leaves_the_old_keys_valid(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str | None
) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    served = KeysFile(file)
    file.unlink()
    if broken is not None:
        file.write_text(broken)
    assert served.find(SECRET) is not None
    assert "the keys read before stay valid" in caplog.text


def test_a_file_that_could_not_be_read_for_a_while_is_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reloaded_file, "LOOK_SECONDS", 0)
    served = KeysFile(file)
    file.write_text(format_key("new", "another", frozenset({"admin"})))

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", fail)
        assert all(served.find(SECRET) is not None for _ in range(2))
    assert served.find(SECRET) is None
    assert caplog.text.count("Too many open files") == 1


GOOD = {"name": '"a"', "sha256": f'"{"0" * 64}"', "roles": '["infer"]'}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", '"a b"', "`name` is `a b`"),
        ("name", "3", "`name` is `3`"),
        ("sha256", f'"{SECRET}"', "64 hexadecimal digits"),
        ("roles", "[]", "`roles` is"),
        ("roles", '["infer", "root"]', "`roles` is"),
        ("requests_per_second", "-1", "`requests_per_second` is `-1`"),
        ("requests_per_second", "true", "`requests_per_second`"),
        ("requests_per_second", "nan", "`requests_per_second` is `nan`"),
        ("password", '"x"', "an unknown field `password`"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, field: str, value: str, message: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("[[key]]\n" + "\n".join(f"{k} = {v}" for k, v in (GOOD | {field: value}).items()))
    with pytest.raises(KeysFileError, match="key 1 of the keys file") as raised:
        read_keys(path)
    assert message in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "text", ["keys = 1", "key = 3", "key = [1]", "\x00", "a" * (keys.LARGEST_FILE + 1), "[" * 100_000]
)
def test_what_is_no_keys_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysFileError, match="key"):
        read_keys(path)


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text("".join(format_key(name, SECRET, frozenset({"infer"})) for name in ("a", "b")))
    with pytest.raises(KeysFileError, match="one key under two names, `a` and `b`") as raised:
        read_keys(path)
    assert SECRET not in str(raised.value)


def test_two_keys_of_one_name_and_too_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(2 * format_key("a", "x", frozenset({"infer"})))
    with pytest.raises(KeysFileError, match="two keys named `a`"):
        read_keys(path)
    path.write_text("[[key]]\n" * (keys.MOST_KEYS + 1))
    with pytest.raises(KeysFileError, match="at most 1000"):
        read_keys(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_named(file: Path) -> None:
    file.chmod(0)
    with pytest.raises(KeysFileError, match="Permission denied"):
        read_keys(file)
