import re

import pytest

from adaptact.console import results, table
from tests.adaptact.hostile import HOSTILE

HEADER = ("output", "median error / scale", "hardest samples", "error", "top-1 agreement")
ROWS = [
    ("logits", "1.2e-08", "boundary", "3.4e-07", "100.00 % of 512 (99.28 to 100.00 %; float32's 100.00 %)"),
    ("a" * 60, "1.2e-08", "wide samples", "3.4e-07", "–"),
]


def printed(capsys: pytest.CaptureFixture[str], *tables: object) -> str:
    with results() as console:
        for each in tables:
            console.print(each)
    return re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return monkeypatch


SETS = (
    "samples",
    "number",
    "share of allowance used",
    "overflowed",
    "NaN and Inf kept",
    "NaN and Inf gained",
)


@pytest.mark.parametrize("columns", [20, 40, 62, 71, 80, 200])
@pytest.mark.parametrize(
    ("header", "rows"), [(HEADER, ROWS), (SETS, [("typical, batch 64", "64", "17 %", "–", "4 of 4", "–")])]
)
def test_a_terminal_shows_whole_words_within_its_width(
    header: tuple[str, ...],
    rows: list[tuple[str, ...]],
    columns: int,
    terminal: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    out = printed(capsys, table(header, rows))
    assert max(map(len, out.splitlines())) <= columns
    words = {word for row in (header, *rows) for cell in row for word in cell.split()}
    assert {word for word in words if len(word) < columns - 4} <= set(out.split())


def test_a_wide_table_is_records(terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal.setenv("COLUMNS", "50")
    assert printed(capsys, table(("a", "bb", "c"), [("x", "y" * 46, "z"), ("u", "", "v")])) == (
        f"a x\n  bb\n    {'y' * 46}\n  c   z\n\na u\n  c  v\n\n"
    )


def test_two_columns_are_names_and_values(
    terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", "30")
    rows = [("file", "m.onnx"), ("digest", "d" * 28), ("operators", "1 Add, 2 Mul, 3 Conv, 4 Gemm")]
    assert printed(capsys, table(("what", "value"), rows)) == (
        f"file       m.onnx\ndigest\n  {'d' * 28}\noperators  1 Add, 2 Mul, 3\n           Conv, 4 Gemm\n\n"
    )


def test_a_pipe_has_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, table(("layer", "kind"), [("a" * 300, "PReLU"), ("b", "Swish")], title="Layers"))
    title, header, first, second, end = out.split("\n")[:5]
    assert (title, end) == ("Layers", "")
    assert [line.split() for line in (header, first, second)] == [
        ["layer", "kind"],
        ["a" * 300, "PReLU"],
        ["b", "Swish"],
    ]
    assert header.index("kind") == first.index("PReLU") == second.index("Swish") == 302


@pytest.mark.parametrize("columns", [1, 8, 80])
@pytest.mark.parametrize("text", [*HOSTILE, "", "\n", "漢字" * 30])
def test_any_text_fits(
    text: str, columns: int, terminal: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal.setenv("COLUMNS", str(columns))
    out = printed(capsys, table((text, "x"), [(text, text)], text), table((text, "x", text), [(text,) * 3]))
    assert all(line.isprintable() for line in out.split("\n"))


def test_no_rows_are_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, table(("a", "b"), [])) == "a  b\n\n"
