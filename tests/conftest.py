"""Settings of the whole suite."""

import gc
import os

from hypothesis import HealthCheck, settings

# No test depends on how fast a busy machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Commands speak the language of the environment: here English, whatever the developer's is.
os.environ["LC_ALL"] = "C.UTF-8"

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run already: threads of their own would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collectstart() -> None:
    """The collector need not look again and again at what is imported, all of which stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on the collector passes over what was imported and collected."""
    gc.collect()
    gc.freeze()
    gc.enable()
