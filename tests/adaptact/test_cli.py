import sys
import tomllib
from pathlib import Path

import pytest

import adaptact
from adaptact.cli import COMMANDS, Command, main

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
TYPER = """
import typer
app = typer.Typer(add_completion=False)

@app.command()
def command(name: str) -> None:
    raise typer.Exit(3 if name == "three" else 0)

main = app
"""


@pytest.fixture
def project() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = tomllib.loads(PYPROJECT.read_text())["project"]
    return found


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sub-command of one argument."""
    (tmp_path / "command_of_a_test.py").write_text(TYPER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(COMMANDS, "test", Command("command_of_a_test:main", "test", ""))
    return "test"


def run_and_end(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["adaptact", *arguments])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_each_command_is_the_one_of_its_own_name(project: dict[str, dict[str, str]]) -> None:
    scripts = {name: target for name, target in project["scripts"].items() if name != "adaptact"}
    assert {f"adaptact-{name}": command.target for name, command in COMMANDS.items()} == scripts


def test_each_extra_exists(project: dict[str, dict[str, str]]) -> None:
    assert {command.extra for command in COMMANDS.values()} <= set(project["optional-dependencies"])


def test_help_lists_each_command_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(monkeypatch, "--help") == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for name, command in COMMANDS.items():
        assert f"{name} {command.summary}" in lines
    assert max(map(len, out.splitlines())) <= 100


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_and_end(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"adaptact {adaptact.__version__}\n"


@pytest.mark.parametrize("name", ["convert", "--json", "\x1b[2J"])
def test_an_unknown_command_is_wrong_use(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(monkeypatch, name) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: unknown command `{name}`".replace("\x1b", "\N{REPLACEMENT CHARACTER}")
    assert hint == f"hint: expected one of {', '.join(COMMANDS)}"


def test_no_command_is_wrong_use(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_and_end(monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Usage: adaptact COMMAND")


@pytest.mark.parametrize(("argument", "code"), [("x", 0), ("three", 3)])
def test_a_command_keeps_its_arguments_and_exit_code(
    argument: str, code: int, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_and_end(monkeypatch, command, argument) == code


@pytest.mark.parametrize("argument", ["--help", "--none"])
def test_usage_names_the_command(
    argument: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # pytest's own `-m` would be in the name otherwise.
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None)
    run_and_end(monkeypatch, command, argument)
    out, err = capsys.readouterr()
    assert "Usage: adaptact test " in out + err


@pytest.mark.parametrize(
    "code",
    ["import no_such_module.part\ndef main() -> None: ...", "def main() -> None:\n import no_such_module"],
)
def test_a_missing_dependency_names_its_extra(
    code: str,
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "without_dependencies.py").write_text(code)
    monkeypatch.delitem(sys.modules, "without_dependencies", raising=False)
    monkeypatch.setitem(COMMANDS, "test", Command("without_dependencies:main", "convert", ""))
    assert run_and_end(monkeypatch, command) == 1
    error, hint = capsys.readouterr().err.splitlines()
    assert error == "error: `adaptact test` needs `no_such_module`, which is not installed"
    assert hint == "hint: pip install 'adaptact[convert]'"


def test_a_missing_module_of_ours_is_a_fault(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, command, Command("adaptact.no_such_module:main", "convert", ""))
    with pytest.raises(ModuleNotFoundError):
        run_and_end(monkeypatch, command)
