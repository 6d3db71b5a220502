from pathlib import Path

import pytest
from rich.text import Text

from adaptact.console import messages, print_error, print_written, results, table
from tests.adaptact.hostile import HOSTILE, MARKUP


def printed(capsys: pytest.CaptureFixture[str], *renderables: object) -> str:
    with results() as console:
        for renderable in renderables:
            console.print(renderable)
    return capsys.readouterr().out


def is_safe(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("make", [str, Text, Path])
def test_whatever_is_printed_is_escaped(
    text: str, make: type[object], capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, make(f"a{text}b"))  # type: ignore[call-arg]  # each takes a text
    assert is_safe(out)
    assert out.startswith("a")


@pytest.mark.parametrize("text", [*HOSTILE, "\n"])
def test_each_part_of_a_table_is_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = f"a{text}b"
    out = printed(capsys, table((hostile,), [(hostile,), ("wide enough for the title",)], hostile))
    assert is_safe(out)
    title, header, cell = (line for line in out.splitlines() if "b" in line and "wide" not in line)
    assert title.split()[0] == header.split()[0] == cell.split()[0]


def test_nothing_is_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, MARKUP, table((MARKUP,), [(MARKUP,)], MARKUP))
    assert out.count(MARKUP) == 4


def test_a_long_cell_is_folded_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, table(("x",), [("y" * 500,)]))
    assert out.count("y") == 500


def test_no_line_is_broken_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert printed(capsys, "x " * 1500).splitlines() == ["x " * 1500]


def test_quiet_results_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with results(quiet=True) as console:
        console.print(table(("x",), [("y",)]))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_its_own_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")
    assert printed(capsys, "x " * 150).splitlines()[0].count("x") == 10


def test_an_error_has_its_hint_below(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(f"{MARKUP} " + "x " * 200, "try\x1b[2J " + "y " * 200)
    out, err = capsys.readouterr()
    assert out == ""
    error, hint = err.splitlines()
    assert error == f"error: {MARKUP} " + "x " * 200
    assert hint == "hint: try\N{REPLACEMENT CHARACTER}[2J " + "y " * 200


@pytest.mark.parametrize("hint", [None, ""])
def test_an_error_without_a_hint_is_one_line(hint: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    print_error("why", hint)
    assert capsys.readouterr().err == "error: why\n"


def test_an_error_is_red_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_error("why", "how")
    assert capsys.readouterr().err == "\x1b[31merror: why\x1b[0m\nhint: how\n"


def test_a_written_file_is_named_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_written(Path("a\nb/[red]" + "x" * 200))
    assert capsys.readouterr() == ("", "wrote a\N{REPLACEMENT CHARACTER}b/[red]" + "x" * 200 + "\n")


def test_quiet_messages_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    messages(quiet=True).print("x")
    messages().print("y")
    assert capsys.readouterr() == ("", "y\n")
