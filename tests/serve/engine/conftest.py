from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from tests.serve.conftest import options


class Opened(Protocol):
    def __call__(self, **changes: Any) -> Engine: ...


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Opens engines on the test's folder, and closes them after it."""
    engines: list[Engine] = []

    def opened_with(**changes: Any) -> Engine:
        engines.append(open_engine(options(**{"folder": tmp_path, **changes}), Metrics(CollectorRegistry())))
        return engines[-1]

    yield opened_with
    for engine in engines:
        engine.close()
