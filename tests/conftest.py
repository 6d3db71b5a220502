"""Settings of the whole suite."""

import gc
import logging
import os
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, settings

from adaptact import memory

# No test depends on how fast a busy machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Commands speak the language of the environment: here English, whatever the developer's is.
os.environ["LC_ALL"] = "C.UTF-8"

# Not by pytest's `log_level`, which sets it three times a test: each time a thousand loggers of torch and
# transformers lose the levels that they have cached.
logging.getLogger().setLevel(logging.INFO)

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run already: threads of their own would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collectstart() -> None:
    """The collector need not look again and again at what is imported, all of which stays."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with modules that have slow tests: else one is alone with the last of them."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    parts = [item for item in items if item.path in slow], [item for item in items if item.path not in slow]
    items[:] = [item for worker in range(workers) for part in parts for item in _share(part, worker, workers)]


def _share(part: Sequence[pytest.Item], worker: int, workers: int) -> Sequence[pytest.Item]:
    """What of it lies in this worker's piece of all tests, which `--dist worksteal` gives it at first."""
    return part[len(part) * worker // workers : len(part) * (worker + 1) // workers]


def pytest_collection_finish() -> None:
    """From here on the collector passes over what was imported and collected."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Nor at what a module's tests imported and kept: a collection would take seconds in the last modules."""
    yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def keeping_free_pages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing looks for free pages to give back: a second's work where a process holds every package."""
    if "giving_back" not in request.fixturenames:
        monkeypatch.setattr(memory, "_call", lambda *_: None)


@pytest.fixture
def giving_back() -> None:
    """Free pages are given back as they are outside the tests."""
