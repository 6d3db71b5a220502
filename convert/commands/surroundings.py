"""What a command sets for its process before torch is loaded."""

import os
import sys
from pathlib import Path


def prepare(factory: str | None, allow_pickle: bool) -> None:
    """Threads wait without taking the cores, and the user's own modules are found where they are needed.

    OpenMP's threads wait for each other by turning, which on cores that others use too makes parity six times
    as slow (ResNet-18: 28 s instead of 4.5 s, two exports on two cores). Torch reads it as it loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if factory is not None or allow_pickle:
        sys.path.insert(0, str(Path.cwd()))  # where `python -m` too would find them
