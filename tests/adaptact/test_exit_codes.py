import errno
from pathlib import Path

import pytest
import typer

from adaptact.errors import AdaptactError, ClosedPipeError, OutputError, UsageError
from adaptact.exit_codes import CLOSED_PIPE, FAILED, FINE, PARITY_FAILED, WRONG_USE, exit_code, run


class ParityError(Exception):
    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ShapeParityError(ParityError):
    pass


def app_that_raises(error: BaseException | None) -> typer.Typer:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def command() -> None:
        if error is not None:
            raise error

    return app


def run_and_end(error: BaseException | None, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr("sys.argv", ["adaptact-x", *arguments])
    with pytest.raises(SystemExit) as ended:
        run(app_that_raises(error), {ParityError: PARITY_FAILED, ValueError: WRONG_USE, OSError: FAILED})
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, FINE),
        (ParityError("x"), PARITY_FAILED),
        (ShapeParityError("x"), PARITY_FAILED),
        (UnicodeError("x"), WRONG_USE),
        (FileNotFoundError("x"), FAILED),
        (AdaptactError("x"), FAILED),
        (OutputError("x"), FAILED),
        (UsageError("x"), WRONG_USE),
        (typer.Exit(FAILED), FAILED),
        (typer.BadParameter("x"), WRONG_USE),
    ],
)
def test_each_error_has_its_exit_code(
    error: BaseException | None,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_and_end(error, monkeypatch) == code
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_ctrl_c_is_said_and_fails(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(error, monkeypatch) == FAILED
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_where_nobody_reads_any_more_it_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:  # what would be printed later goes nowhere, so not to pytest's
        patched.setattr("adaptact.exit_codes.discard_rest", lambda stream: None)
        assert run_and_end(ClosedPipeError("x"), monkeypatch) == CLOSED_PIPE
    assert capfd.readouterr() == ("", "")


def test_an_unknown_option_is_wrong_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(None, monkeypatch, "--none") == WRONG_USE
    assert capsys.readouterr().err == (
        "error: no such option `--none`\nhint: `adaptact-x --help` lists what it takes\n"
    )


def test_a_mistyped_option_is_recognised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_and_end(None, monkeypatch, "--hlep") == WRONG_USE
    assert capsys.readouterr().err.splitlines()[1] == "hint: did you mean `--help`?"


def test_a_mistyped_file_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt").touch()
    error = ParityError("cannot read it")
    error.__cause__ = FileNotFoundError(errno.ENOENT, "No such file", str(tmp_path / "modle.pt"))
    assert run_and_end(error, monkeypatch) == PARITY_FAILED
    assert capsys.readouterr().err.splitlines()[1] == f"hint: did you mean `{tmp_path}/model.pt`?"


def test_a_missing_file_is_recognised_by_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").mkdir()
    error = ParityError(f"models folder `{tmp_path}/modles` does not exist or is not a folder", "why")
    assert run_and_end(error, monkeypatch) == PARITY_FAILED
    assert capsys.readouterr().err.splitlines()[1] == f"hint: did you mean `{tmp_path}/models`?; why"


def test_the_nearest_type_decides() -> None:
    assert exit_code(ShapeParityError("x"), {Exception: FAILED, ParityError: WRONG_USE}) == WRONG_USE
    with pytest.raises(KeyError, match="ShapeParityError"):
        exit_code(ShapeParityError("x"), {})


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["adaptact-x"])
    with pytest.raises(ZeroDivisionError):
        run(app_that_raises(ZeroDivisionError()), {})


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (ParityError("why\x1b[2J", "how\u202e"), "error: why\ufffd[2J\nhint: how\ufffd\n"),
        (ParityError("why"), "error: why\n"),
        (ValueError("why"), "error: why\n"),
        (ValueError(), "error: ValueError\n"),
    ],
)
def test_the_error_is_printed_with_its_hint(
    error: Exception, printed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_and_end(error, monkeypatch)
    assert capsys.readouterr() == ("", printed)
