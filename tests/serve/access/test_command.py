from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve.access.command import FAILED, WRONG_USE, create_key
from serve.access.keys import KeysFile

app = typer.Typer()
app.command()(create_key)


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout.strip(), result.stderr


def test_the_key_that_is_shown_is_the_key_that_the_file_knows(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    status, first, _ = run(file, "--name", "ops", "--role", "admin", "--role", "metrics")
    assert status == 0
    _, second, _ = run(file, "--name", "line-3", "--role", "infer", "--requests-per-second", "50")
    found = KeysFile(file).find(first)
    assert found is not None
    assert (found.name, sorted(found.roles)) == ("ops", ["admin", "metrics"])
    other = KeysFile(file).find(second)
    assert other is not None
    assert (other.name, sorted(other.roles), other.requests_per_second) == ("line-3", ["infer"], 50)
    assert file.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("name", "role", "said"), [("a b", "infer", "`a b`"), ("a", "root", "unknown role `root`")]
)
def test_wrong_use_writes_nothing(tmp_path: Path, name: str, role: str, said: str) -> None:
    status, shown, error = run(tmp_path / "keys.toml", "--name", name, "--role", role)
    assert (status, shown) == (WRONG_USE, "")
    assert said in error
    assert not (tmp_path / "keys.toml").exists()


def test_a_name_that_is_taken_and_a_broken_file_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    run(file, "--name", "a", "--role", "infer")
    before = file.read_text()
    status, _, error = run(file, "--name", "a", "--role", "admin")
    assert (status, file.read_text()) == (WRONG_USE, before)
    assert "a key named `a`" in error
    file.write_text("broken")
    assert run(file, "--name", "b", "--role", "infer")[0] == FAILED
    assert file.read_text() == "broken"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    status, _, error = run(tmp_path / "missing" / "keys.toml", "--name", "a", "--role", "infer")
    assert status == FAILED
    assert "No such file" in error
