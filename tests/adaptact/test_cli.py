import os
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import adaptact
from adaptact.cli import COMMANDS, Command, main
from adaptact.installation import install_line

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
TYPER = """
import typer
from adaptact import exit_codes
app = typer.Typer(add_completion=False)

@app.command()
def command(name: str) -> None:
    raise typer.Exit(3 if name == "three" else 0)

def main() -> None:
    exit_codes.run(app, {})
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


def test_each_program_is_a_command(project: dict[str, dict[str, str]]) -> None:
    names = {name.removeprefix("adaptact-") for name in project["scripts"] if name != "adaptact"}
    assert names <= set(COMMANDS)
    assert set(project["scripts"].values()) == {"adaptact.cli:main"}


def test_each_extra_exists(project: dict[str, dict[str, str]]) -> None:
    extras = {command.extra for command in COMMANDS.values()}
    assert extras <= {"", *project["optional-dependencies"]}


def test_help_lists_each_command_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(monkeypatch, "--help") == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for name, command in COMMANDS.items():
        assert f"{name} {command.summary}" in lines
    assert max(map(len, out.splitlines())) <= 88


def test_the_version_is_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_and_end(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"adaptact {adaptact.__version__}\n"


@pytest.mark.parametrize(
    ("name", "error", "hint"),
    [
        ("convert", "unknown command `convert`", "expected one of swap, export, "),
        ("exprot", "unknown command `exprot`", "did you mean `export`?"),
        ("\x1b[2J", "unknown command `\N{REPLACEMENT CHARACTER}[2J`", "expected one of swap, export, "),
        ("--json", "no such option `--json`", "see `adaptact --help`"),
        ("--verison", "no such option `--verison`", "did you mean `--version`?"),
    ],
)
def test_an_unknown_command_is_wrong_use(
    name: str, error: str, hint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(monkeypatch, name) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"error: {error}"
    assert lines[1].startswith(f"hint: {hint}")


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
@pytest.mark.parametrize("words", [("adaptact", "test"), ("/bin/adaptact-test",)])
def test_usage_names_the_command(
    argument: str,
    words: tuple[str, ...],
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command == "test"
    monkeypatch.setattr(sys, "argv", [*words, argument])
    with pytest.raises(SystemExit):
        main()
    out, err = capsys.readouterr()
    assert " ".join(words).removeprefix("/bin/") in out + err


def test_a_broken_package_is_named(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_package_of_a_test.py").write_text("raise OSError('libx.so.1: no such file\\nmore')")
    target = Command("adaptact_test_command:main", "convert", "")
    (tmp_path / "adaptact_test_command.py").write_text("import broken_package_of_a_test")
    monkeypatch.setattr("adaptact.cli._PACKAGES", ("adaptact", "tests", "adaptact_test_command"))
    monkeypatch.setitem(COMMANDS, command, target)
    assert run_and_end(monkeypatch, command) == 1
    assert capsys.readouterr().err.splitlines() == [
        "error: `adaptact test` needs `broken_package_of_a_test`, which is installed and cannot be loaded: "
        "libx.so.1: no such file",
        "hint: `adaptact doctor` says what is wrong",
    ]


def test_a_fault_of_a_command_is_not_hidden(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faulty_command.py").write_text("def main() -> None:\n    1 / 0\n")
    monkeypatch.setitem(COMMANDS, command, Command("faulty_command:main", "convert", ""))
    with pytest.raises(ZeroDivisionError):
        run_and_end(monkeypatch, command)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("adaptact e", {"export", "experiment"}),
        ("adaptact predict --re", {"--reply-limit-mib", "--restart"}),
        ("adaptact export --precision i", {"int8"}),
        ("adaptact swap --pr", {"--preserve"}),
        ("adaptact study --rob", {"--robustness"}),
        ("adaptact-export --precision i", {"int8"}),
    ],
)
def test_a_shell_completes(words: str, expected: set[str], tmp_path: Path) -> None:
    code = f"import sys; sys.argv = [{words.split(maxsplit=1)[0]!r}]; from adaptact.cli import main; main()"
    variables = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "_ADAPTACT_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert set(done.stdout.split()) == expected
    assert " torch\n" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "shell"),
    [("adaptact", "bash"), ("adaptact", "zsh"), ("adaptact", "fish"), ("adaptact-export", "bash")],
)
def test_each_shell_has_its_script(program: str, shell: str, tmp_path: Path) -> None:
    words = [program, "--show-completion", shell]
    code = f"import sys; sys.argv = {words}; from adaptact.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "_ADAPTACT_COMPLETE=complete_" in done.stdout
    assert f" {program}" in done.stdout.strip().splitlines()[-1]


def test_an_unknown_shell_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(monkeypatch, "--show-completion", "cmd") == 2
    assert "hint: expected one of bash, zsh, fish" in capsys.readouterr().err


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
    assert hint == f"hint: {install_line('convert')}"


def test_a_missing_module_of_ours_is_a_fault(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, command, Command("adaptact.no_such_module:main", "convert", ""))
    with pytest.raises(ModuleNotFoundError):
        run_and_end(monkeypatch, command)


def test_python_runs_the_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["adaptact", "--version"])
    runpy.run_module("adaptact", run_name="__main__")
    assert capsys.readouterr().out == f"adaptact {adaptact.__version__}\n"
