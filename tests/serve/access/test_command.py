import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from serve.access.command import main
from serve.access.keys import KeysFile

Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command with these arguments: its exit code, standard output and standard error."""

    def run_command(*arguments: str | Path) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["adaptact-key", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out.strip(), printed.err

    return run_command


def test_the_printed_key_is_in_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    status, first, _ = run(file, "--name", "ops", "--role", "admin", "--role", "metrics")
    assert status == FINE
    _, second, _ = run(file, "--name", "line-3", "--role", "infer", "--requests-per-second", "50")
    found = KeysFile(file).find(first)
    assert found is not None
    assert (found.name, sorted(found.roles)) == ("ops", ["admin", "metrics"])
    other = KeysFile(file).find(second)
    assert other is not None
    assert (other.name, sorted(other.roles), other.requests_per_second) == ("line-3", ["infer"], 50)
    assert file.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("name", "role", "message"), [("a b", "infer", "`a b`"), ("a", "root", "unknown role `root`")]
)
def test_wrong_use_writes_nothing(run: Run, tmp_path: Path, name: str, role: str, message: str) -> None:
    status, shown, error = run(tmp_path / "keys.toml", "--name", name, "--role", role)
    assert (status, shown) == (WRONG_USE, "")
    assert message in error
    assert not (tmp_path / "keys.toml").exists()


def test_a_taken_name_or_a_broken_file_changes_nothing(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    run(file, "--name", "a", "--role", "infer")
    before = file.read_text()
    status, _, error = run(file, "--name", "a", "--role", "admin")
    assert (status, file.read_text()) == (WRONG_USE, before)
    assert "a key named `a`" in error
    file.write_text("broken")
    assert run(file, "--name", "b", "--role", "infer")[0] == FAILED
    assert file.read_text() == "broken"


def test_a_missing_folder_is_named(run: Run, tmp_path: Path) -> None:
    status, _, error = run(tmp_path / "missing" / "keys.toml", "--name", "a", "--role", "infer")
    assert status == FAILED
    assert "No such file" in error


def test_what_no_server_would_read_is_not_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.toml"
    monkeypatch.setattr("serve.access.command.MOST_KEYS", 1)
    run(file, "--name", "a", "--role", "infer", "--requests-per-second", "123456.75")
    before = file.read_text()
    assert "requests_per_second = 123456.75" in before
    status, _, error = run(file, "--name", "b", "--role", "infer")
    assert (status, file.read_text()) == (WRONG_USE, before)
    assert "has 1 keys, as many as may be" in error
