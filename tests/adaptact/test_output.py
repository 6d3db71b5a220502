import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptact.output import print_json, print_lines, silence
from tests.adaptact.hostile import HOSTILE, MARKUP

FULL = Path("/dev/full")
LINES = "from adaptact.output import print_lines; print_lines('a')"
JSON = "from adaptact.output import print_json; print_json({'a': 1})"
TABLE = "from adaptact.console import results, table\nwith results() as c: c.print(table(('a',), [('b',)]))"
MANY = "from adaptact.console import results\nwith results() as c: c.print('x' * 100_000)"
WAYS = (LINES, JSON, TABLE, MANY)


def run_with_stdout(code: str, stdout: int, **environment: str) -> str:
    """The last line of what the code, which must fail, leaves on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env=os.environ | {"PYTHONUNBUFFERED": ""} | environment,  # empty is unset: the buffer is under test
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


@pytest.mark.parametrize("code", WAYS)
def test_a_closed_pipe_is_an_error_of_its_own(code: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        last = run_with_stdout(code, writing)
    finally:
        os.close(writing)
    assert last == "adaptact.errors.ClosedPipeError: nobody reads the result any more"


@pytest.mark.skipif(not FULL.exists(), reason="Linux's device that is always full")
@pytest.mark.parametrize("code", WAYS)
def test_a_full_disk_is_an_output_error(code: str) -> None:
    with FULL.open("w") as full:
        last = run_with_stdout(code, full.fileno())
    assert last == "adaptact.errors.OutputError: cannot print the result: No space left on device"


@pytest.mark.parametrize("code", WAYS)
def test_a_closed_stdout_is_an_output_error(code: str) -> None:
    last = run_with_stdout(f"import sys; sys.stdout = None\n{code}", subprocess.DEVNULL)
    assert last == "adaptact.errors.OutputError: cannot print the result: standard output is closed"


@pytest.mark.parametrize("code", [LINES.replace("'a'", "'λ'"), TABLE.replace("'b'", "'λ'")])
def test_a_character_that_the_encoding_lacks_is_a_question_mark(code: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert done.stdout.split()[-1] == b"?"


@pytest.mark.parametrize("text", [*HOSTILE, "\n"])
def test_lines_are_escaped(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(f"a{text}b", "c")
    first, second, rest = capsys.readouterr().out.split("\n")
    assert first.isprintable()
    assert (second, rest) == ("c", "")


def test_lines_are_never_broken_nor_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    line = MARKUP + "x" * 5000
    print_lines(line)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_json_is_one_line_of_ascii(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": text})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.rstrip("\n").isprintable()
    assert json.loads(out) == {"a": text}


def test_json_has_no_word_for_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"a": float("inf")})
    assert capsys.readouterr().out == ""


def test_silence_leaves_json(capsys: pytest.CaptureFixture[str]) -> None:
    with silence():
        print_lines("a")
        print_json({"b": 1})
    print_lines("c")
    assert capsys.readouterr().out == '{"b": 1}\nc\n'
