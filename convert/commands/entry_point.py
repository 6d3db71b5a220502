"""How a command begins and ends: what it sets before torch is loaded, and its exit code."""

import os
from collections.abc import Callable, Mapping

from adaptact import exit_codes
from adaptact.exit_codes import FAILED, PARITY_FAILED, WRONG_USE
from adaptact.options import stay_offline
from convert.errors import ConversionError, ParityError, UsageError

EXIT_CODES: Mapping[type[Exception], int] = {
    ConversionError: FAILED,
    UsageError: WRONG_USE,
    ParityError: PARITY_FAILED,
}


def prepare() -> None:
    """Waiting threads leave their cores to others, and libraries of models download nothing.

    OpenMP's threads wait for each other in a busy loop, which on shared cores makes parity six times as slow
    (ResNet-18: 28 s instead of 4.5 s, two exports on two cores). Torch reads the setting as it loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    stay_offline()


def run(app: Callable[[], object]) -> None:
    """Run the command and end the process with its exit code; an error is one line, and a hint below."""
    exit_codes.run(app, EXIT_CODES)
