"""Runs a part of the tests with the oldest and the newest supported packages, on each Python that is here.

`python -m tools.matrix` builds an environment for each cell below FOLDER, runs TESTS in it, and writes
docs/results/matrix.md: what ran, with which versions, and what was skipped and why. Of cells that it is not
asked for, what an earlier run wrote stays.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from adaptact.console import messages, print_line

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "matrix"
PAGE = ROOT / "docs" / "results" / "matrix.md"
PYTHONS = ("3.11", "3.12", "3.13")
# The first versions that the bounds in pyproject.toml allow.
OLDEST = {"torch": "2.9.1", "onnx": "1.20.1", "onnxruntime": "1.24.4"}
# What meets torch, onnx and ONNX Runtime most: loading, exporting, writing and running models.
TESTS = (
    *("tests/adaptive_act/activations/test_sigmoidal.py", "tests/convert/sources/test_program.py"),
    *("tests/convert/sources/test_torchscript.py", "tests/convert/rules/test_batchnorm_into_previous.py"),
    *("tests/convert/precision/test_quantise.py", "tests/convert/commands/test_export.py"),
    *("tests/convert/commands/test_verify.py", "tests/serve/engine/test_session.py"),
    *("tests/serve/engine/test_model.py", "tests/serve/engine/test_engine.py"),
)
# Of the server what needs no ONNX Runtime: its own bound is above the oldest that an export works with.
EXTRAS = ("convert", "study", "serve-core", "client")
PACKAGES = ("pytest", "hypothesis", "psutil", "jsonschema", "pillow")
MINUTES = 40
NOT_ASKED = "skipped: not asked for"
Age = Literal["oldest", "newest"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A Python, and which versions of the packages it has."""

    python: str
    age: Age

    @property
    def name(self) -> str:
        """The folder of its environment."""
        return f"{self.python}-{self.age}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a cell: the versions in it, the last line of pytest, or why there is none, and when."""

    cell: Cell
    versions: str
    result: str
    day: str = "–"


def list_cells(pythons: Sequence[str]) -> list[Cell]:
    """Two cells for each Python."""
    ages: tuple[Age, ...] = ("oldest", "newest")
    return [Cell(python, age) for python in pythons for age in ages]


def find_python(version: str) -> str | None:
    """An interpreter of the version: by its name, or among those that pyenv keeps; None for none."""
    names = [
        f"python{version}",
        *map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))),
    ]
    for name in names:
        path = shutil.which(name)
        if path is not None and _ask(path, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return path
    return None


def run_cell(cell: Cell, on_progress: Callable[[str], None], *, keep: bool) -> Outcome:
    """The cell's environment is built, its tests have run, and unless it is kept it is gone."""
    python = find_python(cell.python)
    if python is None:
        return Outcome(cell, "–", "skipped: no such interpreter here")
    folder = FOLDER / cell.name
    own = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        on_progress(f"{cell.name}: installing")
        error = _install(cell, python, own)
        if error is not None:
            return Outcome(cell, "–", f"skipped: {error}")
        (folder / ".installed").touch()
    on_progress(f"{cell.name}: testing")
    outcome = Outcome(cell, _list_versions(own), _test(own, FOLDER / f"{cell.name}.log"))
    if not keep:
        shutil.rmtree(folder)
    return outcome


def _install(cell: Cell, python: str, own: Path) -> str | None:
    """Why the environment cannot be built; None once it is."""
    wanted = [f"{name}=={version}" for name, version in OLDEST.items()] if cell.age == "oldest" else [*OLDEST]
    commands = [
        [python, "-m", "venv", "--clear", str(own.parents[1])],
        [
            str(own),
            "-m",
            "pip",
            "install",
            "--quiet",
            f"{ROOT}[{','.join(EXTRAS)}]",
            *wanted,
            *PACKAGES,
        ],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason"]
            return f"not to be had from the index ({lines[0].removeprefix('ERROR: ')[:120]})"
    return None


def _test(own: Path, log: Path) -> str:
    command = [str(own), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *TESTS]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60 * MINUTES
        )
    except subprocess.TimeoutExpired:
        return f"not finished after {MINUTES} minutes"
    log.write_text(done.stdout + done.stderr, encoding="utf-8")
    lines = [line for line in done.stdout.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    return lines[-1].strip("= ") if lines else f"pytest ended with status {done.returncode}"


def _list_versions(own: Path) -> str:
    code = (
        "import platform; from importlib.metadata import version; "
        f"print('Python', platform.python_version(), *(n + ' ' + version(n) for n in {[*OLDEST]}), sep=', ')"
    )
    return _ask(str(own), code).replace("Python, ", "Python ")


def _ask(python: str, code: str) -> str:
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def make_page(outcomes: Sequence[Outcome], note: str = "") -> str:
    """The page of docs/results."""
    return "\n".join(_list_lines(outcomes, note))


def read_page(page: str) -> dict[Cell, Outcome]:
    """What the page says of each cell that ran, or could not."""
    rows = re.findall(r"^\| Python (\S+), (oldest|newest) \| (.+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    outcomes = (Outcome(Cell(python, age), *rest) for python, age, *rest in rows)
    return {outcome.cell: outcome for outcome in outcomes if outcome.result != NOT_ASKED}


def read_note(page: str) -> str:
    """What the page says besides; empty where it says nothing."""
    found = re.search(r"^- `[^\n]+`\n\n((?!\|).+?)\n\n\| cell", page, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def _list_lines(outcomes: Sequence[Outcome], note: str) -> Iterator[str]:
    yield "# Versions that were tested"
    yield ""
    yield "Written by `make matrix`. Each cell is an environment of its own, with the extras"
    yield f"{', '.join(f'`{extra}`' for extra in EXTRAS)}; it ran the tests that are not `slow` of:"
    yield ""
    yield from (f"- `{path}`" for path in TESTS)
    yield ""
    yield from ([note, ""] if note else [])
    yield "| cell | versions | result | day |"
    yield "| --- | --- | --- | --- |"
    for outcome in outcomes:
        cell = f"Python {outcome.cell.python}, {outcome.cell.age}"
        yield f"| {cell} | {outcome.versions} | {outcome.result} | {outcome.day} |"
    yield ""


def main(
    python: Annotated[list[str] | None, typer.Option(help="Python to test, as 3.12. Repeatable.")] = None,
    age: Annotated[list[str] | None, typer.Option(help="oldest or newest. Repeatable.")] = None,
    output: Annotated[Path, typer.Option(help="Page to write.")] = PAGE,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the environments, 1 to 6 GB each.")] = False,
    note: Annotated[str, typer.Option(help="What else the page says. Default: what it said.")] = "",
) -> None:
    """Run the cells one after another, and write the page."""
    console = messages()
    wanted = set(age or ("oldest", "newest"))
    known = {cell: Outcome(cell, "–", NOT_ASKED) for cell in list_cells(PYTHONS)}
    earlier = output.read_text(encoding="utf-8") if output.exists() else ""
    known |= read_page(earlier)
    note = note or read_note(earlier)
    outcomes: list[Outcome] = []
    for cell in list_cells([each for each in PYTHONS if each in (python or PYTHONS)]):
        if cell.age in wanted:
            outcome = run_cell(cell, lambda text: print_line(console, text), keep=keep)
            outcomes.append(replace(outcome, day=f"{datetime.now(UTC):%Y-%m-%d}"))
            print_line(console, f"{cell.name}: {outcome.result}")
            known[cell] = outcomes[-1]
            output.write_text(make_page(list(known.values()), note), encoding="utf-8")
    if any("failed" in outcome.result or "error" in outcome.result for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
