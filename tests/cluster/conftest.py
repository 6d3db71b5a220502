"""Tests that start a real cluster take minutes: `make cluster-predict-test` runs them, `make test` not."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.nodes import Nodes

collect_ignore_glob = [] if os.environ.get("ADAPTACT_CLUSTER") else ["test_*.py"]


@pytest.fixture(scope="session")
def nodes() -> Iterator[Nodes]:
    """A cluster with a head of one core."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    cluster = Nodes(folder)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)
