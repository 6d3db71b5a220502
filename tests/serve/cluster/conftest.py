import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.cluster.stage import Stage


@pytest.fixture
def stage() -> Stage:
    made = Stage()
    made.run()
    return made


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in which a socket may have a name: the system allows its path some hundred characters."""
    with tempfile.TemporaryDirectory(prefix="adaptact-") as folder:
        yield Path(folder)
