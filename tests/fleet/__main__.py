"""Runs the fleet and its drills, and writes docs/results/fleet.md; exit code 1 where anything is amiss."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from adaptact.console import messages, print_line
from tests.docker.paths import ROOT
from tests.fleet import drills
from tests.fleet.drills import Row
from tests.fleet.fleet import COMMANDS, WORKERS, Fleet, running_fleet
from tests.fleet.program import FleetError

PAGE = ROOT / "docs" / "results" / "fleet.md"
PARTS = f"""\
# Two servers behind a proxy, as processes

HAProxy with TLS before two servers of {WORKERS} workers each, PostgreSQL for their experiments, Prometheus
and Alertmanager, configured by the files of `docker/` that `docker/fleet.yaml` mounts. `make fleet-test` runs
them on one machine, without containers, and wrote this page.
"""


def run_drills(fleet: Fleet) -> Iterator[Row]:
    """Every drill, in an order in which none disturbs the next."""
    yield drills.start_experiment(fleet)
    yield drills.ask_what_concerns_one_server(fleet)
    yield drills.restart_in_turn(fleet)
    yield drills.query_dashboard(fleet)
    yield from drills.kill_one(fleet)


def main() -> int:
    """The exit code."""
    console = messages()
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    rows = []
    try:
        with running_fleet(folder) as fleet:
            for row in run_drills(fleet):
                print_line(console, f"{row.drill}: {row.outcome}")
                rows.append(row)
    except FleetError as error:
        print_line(console, f"error: {error}; logs are in {folder}")
        return 1
    PAGE.write_text(write_page(rows), encoding="utf-8")
    print_line(console, f"{PAGE.relative_to(ROOT)} is written")
    return 0


def write_page(rows: list[Row]) -> str:
    """The page of drills that all came out as they must."""
    table = ["| what was done | what came of it |", "|---|---|"]
    table += [f"| {row.drill} | {row.outcome} |" for row in rows]
    versions = ", ".join(_read_version(command) for command in COMMANDS.values())
    return "\n".join([PARTS, *table, "", f"Run on {datetime.now(UTC):%Y-%m-%d} with {versions}.", ""])


def _read_version(command: str) -> str:
    option = "-v" if command == "haproxy" else "--version"
    done = subprocess.run([command, option], capture_output=True, text=True, check=True)
    words = (done.stdout + done.stderr).replace(",", " ").split()
    return f"{command} {next(word for word in words if word[0].isdigit())}"


if __name__ == "__main__":
    sys.exit(main())
