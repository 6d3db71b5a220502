"""Settings of the whole suite."""

import gc
import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run already: threads of their own would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """The collector passes over what was imported and collected, which stays to the end."""
    gc.collect()
    gc.freeze()
