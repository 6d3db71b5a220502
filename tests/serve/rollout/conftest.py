from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from tests.serve import models
from tests.serve.conftest import options

TRIPLE = (
    "triple (float[N, 3] x) => (float[N, 3] y) { three = Constant<value = float {3.0}>() y = Mul(x, three) }"
)
# It refuses whatever is not an index of its table.
PICKY = """picky (float[N, 3] x) => (float[N, 3] y) {
    table = Constant<value = float[1] {4.0}>()
    index = Cast<to = 7>(x)
    y = Gather(table, index)
}"""


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`digits` doubles in version 1, the default, and triples in version 2; version 3 takes zeros only."""
    folder = tmp_path_factory.mktemp("variants")
    for version, text in (("1", models.DOUBLE), ("2", TRIPLE), ("3", PICKY)):
        models.put(folder, "digits", models.model(text), version)
    opened = open_engine(options(folder), Metrics(CollectorRegistry()))
    opened._catalogue.set_alias("digits", "stable", "1")
    yield opened
    opened.close()
