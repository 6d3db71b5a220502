from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from tests.serve.conftest import options
from tests.serve.rollout.variants import put_variants


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`digits`, whose version 1 answers by default."""
    folder = tmp_path_factory.mktemp("variants")
    put_variants(folder)
    opened = open_engine(options(folder), Metrics(CollectorRegistry()))
    opened._catalogue.set_alias("digits", "stable", "1")
    yield opened
    opened.close()
