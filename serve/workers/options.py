"""What the supervisor is told at its start; of the standard library only, so that it starts at once."""

import json
import os
import signal
from dataclasses import asdict, dataclass

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """The settings that are the supervisor's, and all of them for its workers."""

    settings: str
    """All settings, as JSON."""
    workers: int
    connections: int
    stop_grace_seconds: int
    log_level: str
    url: str
    """Where the server answers, as it is announced."""
    manner: str
    """With what it serves, as it is announced."""


def write_options(options: SupervisorOptions) -> int:
    """The descriptor of memory with the options, which outlives the program in this process."""
    descriptor = os.memfd_create("adaptact-options", 0)
    with os.fdopen(descriptor, "w", closefd=False) as file:
        json.dump(asdict(options), file)
    return descriptor


def read_options(descriptor: int) -> SupervisorOptions:
    """The options that were written; the descriptor is closed."""
    with os.fdopen(descriptor) as file:
        file.seek(0)
        return SupervisorOptions(**json.load(file))
