"""Runs the cluster and its drills, and writes docs/results/cluster.md; exit code 1 if anything is amiss.

With names of drills as arguments it runs only those, and writes nothing.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from adaptact.console import messages, print_line
from tests.docker.paths import ROOT
from tests.fleet.drills import Row
from tests.fleet.program import FleetError
from tests.replicas import drills, losses
from tests.replicas.service import CORES, MOST, NODES, Service, running_service

PAGE = ROOT / "docs" / "results" / "cluster.md"
PARTS = f"""\
# Replicas on a cluster of three nodes

Ray's head and {NODES} nodes of {CORES} cores each as processes of one machine, at most {MOST} replicas of one
worker with TLS and keys, HAProxy before them, PostgreSQL for their experiments. `make cluster-test` runs them
and wrote this page.
"""
# In an order in which none disturbs the next.
DRILLS: tuple[Callable[[Service], Row | list[Row]], ...] = (
    *(drills.start, drills.compare, drills.share_experiment, drills.share_alias, drills.update),
    *(drills.update_brokenly, drills.scale, losses.kill_command, losses.kill_proxy, losses.hang),
    *(losses.refuse_strangers, losses.kill_node, drills.stop, losses.lose_head),
)


def run_drills(service: Service, names: Sequence[str]) -> Iterator[Row]:
    """What came of every drill, or of those that are named."""
    for drill in [each for each in DRILLS if each is drills.start or not names or each.__name__ in names]:
        rows = drill(service)
        yield from [rows] if isinstance(rows, Row) else rows


def main() -> int:
    """The exit code."""
    console = messages()
    # Ray's sockets have long names, and the system allows 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="c-", dir="/tmp"))
    rows = []
    try:
        with running_service(folder) as service:
            for row in run_drills(service, sys.argv[1:]):
                print_line(console, f"{row.drill}: {row.outcome}")
                rows.append(row)
    except FleetError as error:
        print_line(console, f"error: {error}; logs are in {folder}")
        return 1
    if sys.argv[1:]:
        return 0
    PAGE.write_text(write_page(rows), encoding="utf-8")
    print_line(console, f"{PAGE.relative_to(ROOT)} is written")
    return 0


def write_page(rows: list[Row]) -> str:
    """The page of drills that all came out as they must."""
    table = ["| what was done | what came of it |", "|---|---|"]
    table += [f"| {row.drill} | {row.outcome} |" for row in rows]
    done = subprocess.run(["haproxy", "-v"], capture_output=True, text=True, check=True)
    proxy = next(word for word in done.stdout.split() if word[0].isdigit())
    return "\n".join(
        [
            PARTS,
            *table,
            "",
            f"Run on {datetime.now(UTC):%Y-%m-%d} with ray {version('ray')}, haproxy {proxy}.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
