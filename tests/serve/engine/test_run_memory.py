import platform
import threading
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from adaptact.memory import release_free_pages
from serve.engine import Metrics, run_memory
from serve.engine.model import ServedModel
from serve.engine.run_memory import LARGE_ELEMENTS, RunMemory
from tests.serve import models
from tests.serve.engine.loading import load_model

pytestmark = pytest.mark.usefixtures("giving_back")

GENEROUS_SECONDS = 60
MEBIBYTE = 2**20
SMALL = [np.zeros(1)]


@pytest.fixture
def model(tmp_path: Path, metrics: Metrics) -> ServedModel:
    text = "m (float[N, 1024] x) => (float[N, 1024] y) { a = Mul(x, x) b = Sin(a) y = Add(b, x) }"
    return load_model(tmp_path, models.model(text), metrics)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own way")
def test_the_memory_of_large_runs_is_given_back(model: ServedModel) -> None:
    process = psutil.Process()
    _release_memory(model)
    before = process.memory_info().rss
    model.run({"x": np.zeros((8192, 1024), np.float32)}, ["y"])
    kept = process.memory_info().rss
    _release_memory(model)
    after = process.memory_info().rss
    assert kept - before > 24 * MEBIBYTE
    assert after - before < 8 * MEBIBYTE


@pytest.mark.parametrize(
    ("elements", "outputs"), [(LARGE_ELEMENTS, SMALL), (1, [np.zeros(LARGE_ELEMENTS, np.bool_)])]
)
def test_it_is_given_back_once_no_large_run_has_been_for_a_while(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch, elements: int, outputs: list[Any]
) -> None:
    released = threading.Event()
    monkeypatch.setattr(run_memory, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(run_memory, "release_free_pages", released.set)
    memory = RunMemory()
    for _ in range(2):
        memory.note(model, elements, outputs)
        assert released.wait(GENEROUS_SECONDS)
        released.clear()


def test_small_runs_start_nothing(model: ServedModel) -> None:
    before = threading.active_count()
    RunMemory().note(model, LARGE_ELEMENTS - 1, SMALL)
    assert threading.active_count() == before


def test_a_model_that_takes_long_is_not_run_for_it(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.cost.seconds_per_element = 1.0
    monkeypatch.setattr(model, "_session", None)
    model.release_memory()


def _release_memory(model: ServedModel) -> None:
    """As RunMemory does: the C library keeps pages too, the more the larger the blocks that it has seen."""
    model.release_memory()
    release_free_pages()
