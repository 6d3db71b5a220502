"""Settings of the whole suite."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores run already: threads of their own would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
