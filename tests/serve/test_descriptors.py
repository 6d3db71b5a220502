import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serve.descriptors import OWN_DESCRIPTORS
from tests.serve import models
from tests.serve.process import COMMAND
from tests.waiting import SECONDS

AFTER = """
import logging, resource, sys
from serve.descriptors import allow_connections
logging.basicConfig(format="%(levelname)s %(message)s")
allow_connections(int(sys.argv[1]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def after(connections: int, soft: int, hard: int) -> tuple[tuple[int, int], str]:
    """The limits of a process that began with these and allows so many connections, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", AFTER, str(connections)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    now, most = map(int, done.stdout.split())
    return (now, most), done.stderr


def test_the_limit_is_raised_to_what_the_connections_need_and_no_further() -> None:
    assert after(1000, soft=256, hard=4096) == ((1000 + OWN_DESCRIPTORS, 4096), "")


def test_a_limit_that_is_high_enough_stays() -> None:
    assert after(1000, soft=3000, hard=4096) == ((3000, 4096), "")


def test_where_the_system_allows_too_few_the_log_says_what_to_do() -> None:
    limits, log = after(1000, soft=256, hard=1024)
    assert limits == (1024, 1024)
    assert log.startswith("WARNING `--connections 1000` needs 1256 descriptors and the system allows 1024: ")
    assert "allow 768 connections" in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_server_raises_its_limit_before_it_does_anything_else(tmp_path: Path, workers: str) -> None:
    models.put(tmp_path, "broken", b"rubbish")  # it ends by itself
    command = [str(COMMAND), "--models", str(tmp_path), "--port", "0", "--workers", workers]
    done = subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512)),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert done.stderr.count("`--connections 1000` needs 1256 descriptors") == 1
