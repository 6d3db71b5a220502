import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from serve.engine import Engine, Metrics, open_engine
from serve.engine.memory.options import MemoryOptions
from serve.experiments.stages import Phase, Pin
from serve.rollout.pinning import find_change, find_lasting_change
from tests.serve.conftest import options
from tests.serve.experiments.definitions import make_experiment
from tests.serve.rollout.variants import put_variants

PHASE = Phase(2, 1, "ramp", 50.0, 0, "anne", "", pins={"control": Pin("digits", "1")})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    put_variants(tmp_path)
    opened = open_engine(options(tmp_path, memory=MemoryOptions(2**40)), Metrics(CollectorRegistry()))
    opened.point_alias("digits", "stable", "1")
    yield opened
    opened.close()


def test_an_experiment_is_not_paused_for_a_model_that_is_unloaded_for_want_of_memory(engine: Engine) -> None:
    experiment = make_experiment()
    assert find_change(engine, experiment, PHASE) is None
    asyncio.run(engine.memory.evict("digits"))
    assert find_change(engine, experiment, PHASE) is not None  # its requests are answered as without it
    assert find_lasting_change(engine, lambda: True, experiment, PHASE) is None
    assert engine.memory.wanted == {"digits"}


def test_an_experiment_is_paused_for_a_model_that_an_operator_has_unloaded(engine: Engine) -> None:
    asyncio.run(engine.unload("digits"))
    assert find_lasting_change(engine, lambda: True, make_experiment(), PHASE) is not None
