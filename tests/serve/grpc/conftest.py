from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.grpc.running import Running, running


@pytest.fixture(scope="session")
def grpc_server(repository: Path) -> Iterator[Running]:
    """The server on one of every kind of model."""
    with running(repository) as started:
        yield started
