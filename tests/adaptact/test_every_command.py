"""What holds for every command: exit codes, help, and results that read well on a terminal and in a pipe."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

from adaptact.cli import COMMANDS, main
from convert.pipeline import convert
from serve.client.experiments.command import app as experiments
from serve.cluster.command import app as cluster
from tests.convert.models import save_checkpoint

WIDTH = 80
COLOURS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


Run = Callable[..., Ended]


GROUPS: dict[str, Any] = {
    name: typer.main.get_command(app) for name, app in {"experiment": experiments, "cluster": cluster}.items()
}
ALL = [*COMMANDS, *(f"{name} {command}" for name, group in GROUPS.items() for command in group.commands)]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["adaptact", *map(str, words)])
        status = 0
        try:
            main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        out, err = capsys.readouterr()
        return Ended(status, COLOURS.sub("", out), err)

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, standard output is a terminal of WIDTH columns."""

    def become() -> None:
        for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(WIDTH)}.items():
            monkeypatch.setenv(name, value)

    return become


@pytest.mark.parametrize("command", ALL)
def test_a_wrong_option_ends_with_2_and_is_recognised(command: str, run: Run) -> None:
    ended = run(*command.split(), "--hepl")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "error: no such option `--hepl`\nhint: did you mean `--help`?\n"


@pytest.mark.parametrize("command", ALL)
def test_help_has_whole_words_within_80_columns(
    command: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    ended = run(*command.split(), "--help")
    assert (ended.status, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= WIDTH
    assert "…" not in ended.out


@pytest.mark.parametrize("command", [name for name in ALL if name not in GROUPS])
def test_every_command_has_quiet_and_json(command: str, run: Run) -> None:
    shown = run(*command.split(), "--help").out
    assert "--quiet" in shown
    assert "--json" in shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("files")
    convert(save_checkpoint(made / "model.pt"), made / "model.onnx")
    return made


RESULTS = (
    "inspect model.onnx",
    "inspect model.pt",
    "verify model.pt model.onnx",
    "export model.onnx again.onnx",
    "describe model.onnx",
)


@pytest.mark.slow
@pytest.mark.parametrize("line", RESULTS)
def test_results_read_well_on_a_terminal_and_in_a_pipe(
    line: str, folder: Path, run: Run, terminal: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "20")  # which no pipe has
    piped = run(*line.split())
    terminal()
    shown = run(*line.split())
    assert piped.status == shown.status == 0
    assert max(map(len, shown.out.splitlines())) <= WIDTH
    words = {word for word in piped.out.split() if len(word) <= WIDTH - 4}
    assert words - set(shown.out.split()) <= {"what", "value"}  # a header that names and values need not have


@pytest.mark.slow
@pytest.mark.parametrize("line", RESULTS)
def test_quiet_prints_nothing(line: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert run(*line.split(), "--quiet") == Ended(0, "", "")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("inspect modle.pt", "`model.pt`"),
        ("inspect modle.onnx", "`model.onnx`"),
        ("export modle.pt again.onnx", "`model.pt`"),
        ("verify model.pt modle.onnx", "`model.onnx`"),
        ("describe modle.onnx", "`model.onnx`"),
    ],
)
def test_a_mistyped_file_is_recognised(
    line: str, hint: str, folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    ended = run(*line.split())
    assert ended.status in (1, 2)
    assert f"hint: did you mean {hint}?" in ended.err
