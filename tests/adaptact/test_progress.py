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


@pytest.mark.usefixtures("terminal")
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


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes where a test changes it."""
    now = [100.0]
    monkeypatch.setattr("adaptact.progress.time.monotonic", lambda: now[0])
    return now


def test_a_log_has_a_line_now_and_then(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with count_bar(messages(), "rows") as on_progress:
        for done in range(500, 1001, 50):  # 500 were there before, and 50 take two seconds
            on_progress(done, 10_000)
            seconds[0] += 2.0
    assert capsys.readouterr() == (
        "",
        "rows: 650 of 10,000, 6 min 14 s left\nrows: 800 of 10,000, 6 min 8 s left\n"
        "rows: 950 of 10,000, 6 min 2 s left\n",
    )


def test_a_log_says_what_was_done_last(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with StageBars(messages()) as bars:
        on_progress = bars.on_stage("train", 7200)
        seconds[0] += 6.0
        on_progress("PReLU, seed 3")
    assert capsys.readouterr().err == "train: 1 of 7,200, 11 h 59 min left; PReLU, seed 3\n"


def test_a_log_says_what_a_long_stage_does(seconds: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with StageLines(messages()) as lines:
        lines.on_stage("tune")
        for number in range(4):
            lines.on_progress(f"trial {number}")
            seconds[0] += 3.0
    assert capsys.readouterr().err.splitlines()[:-1] == ["tune: trial 2"]


def test_each_stage_says_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with StageLines(messages(), stages=("load", "write")) as lines:
        lines.on_stage("load")
        lines.on_stage("write")
    assert [line.split(" s  ")[1] for line in capsys.readouterr().err.splitlines()] == ["1 of 2", "2 of 2"]


@pytest.mark.usefixtures("terminal")
def test_quiet_progress_is_silent_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_everything(TITLE + REVERSED, quiet=True)
    assert capsys.readouterr() == ("", "")
