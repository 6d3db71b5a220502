import contextlib
import re

import pytest

from adaptact.console import messages
from adaptact.progress import StageBars, StageLines, count_bar
from tests.adaptact.hostile import HOSTILE, MARKUP, REVERSED, TITLE

OWN_CODES = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r")  # rich's colours and cursor movements


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def show_everything(text: str, *, quiet: bool = False) -> None:
    console = messages(quiet=quiet)
    with StageLines(console, {text: 1.0}) as lines:
        for stage in ("load", text):
            lines.on_stage(stage)
            lines.on_progress(text)
    with StageBars(console) as bars:
        bars.on_stage(text, 2)(text)
    with count_bar(console, text, 2) as on_progress:
        on_progress(1)


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("text", [text for text in HOSTILE if text != "\r"] + ["\n"])
def test_all_that_is_shown_is_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_everything(f"a{text}b")
    shown = capsys.readouterr().err
    assert text == "\n" or text not in shown
    assert f"a{text}b" not in shown
    assert all(line.isprintable() for line in OWN_CODES.sub("", shown).split("\n"))


@pytest.mark.usefixtures("terminal")
def test_nothing_is_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    show_everything(MARKUP)
    assert MARKUP in capsys.readouterr().err


def test_each_stage_is_a_line_with_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with StageLines(messages(), {"tune": 1.0}) as lines:
        for stage in ("load", "tune", "write"):
            lines.on_stage(stage)
            lines.on_progress("detail")
    out, err = capsys.readouterr()
    assert out == ""
    assert re.sub(r" +\d+\.\d\d s", " seconds", err) == "load seconds\ntune seconds\nwrite seconds\n"


def test_a_stage_that_fails_has_its_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(RuntimeError), StageLines(messages()) as lines:
        lines.on_stage("load")
        raise RuntimeError
    assert capsys.readouterr().err.startswith("load  ")


@pytest.mark.usefixtures("terminal")
def test_a_detail_stands_beside_its_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with StageLines(messages()) as lines:
        lines.on_stage("load")
        lines.on_progress("detail")
    assert "load: detail ..." in capsys.readouterr().err


def test_stage_bars_count_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with StageBars(messages()) as bars:
        on_progress = bars.on_stage("train", 2)
        bars.on_stage("nothing", 0)
        on_progress("first")
        on_progress("second")
    out, err = capsys.readouterr()
    assert out == ""
    assert "2/2" in err
    assert "second" in err
    assert "nothing" not in err


@pytest.mark.usefixtures("terminal")
def test_a_count_bar_shows_its_total_once_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with count_bar(messages(), "rows") as on_progress:
        on_progress(3, 10)
        on_progress(4)
    shown = OWN_CODES.sub("", capsys.readouterr().err)
    assert shown.rstrip().splitlines()[-1].startswith("rows ")
    assert " 4/10" in shown


def test_a_count_bar_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with count_bar(messages(), "rows", 2) as on_progress:
        on_progress(1)
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("terminal")
def test_quiet_progress_is_silent_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_everything(TITLE + REVERSED, quiet=True)
    assert capsys.readouterr() == ("", "")
