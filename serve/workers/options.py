"""What the supervisor is told at its start."""

import json
import os
import signal
from dataclasses import asdict, dataclass
from typing import Literal

from serve.shared.memory import write_text
from serve.workers.spawn import StartedWorker, WorkerEnds

Announcement = Literal["line", "json", "nothing"]
"""What standard output says once the server answers."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class SupervisorOptions:
    """The settings that are the supervisor's, and all of them for its workers."""

    settings: str
    """All settings, as JSON."""
    workers: list[StartedWorker]
    limits: int
    """The descriptor of the limits that all workers count together."""
    connections: int
    stop_grace_seconds: int
    stop_linger_seconds: float
    log_level: str
    url: str
    """Where the server answers, as it is announced."""
    manner: str
    """With what it serves, as it is announced."""
    grpc_port: int = 0
    """0 without gRPC."""
    announcement: Announcement = "line"
    source: str = ""
    """`SourceOptions` as JSON; empty where the models folder is no copy."""


def write_options(options: SupervisorOptions) -> int:
    """The descriptor of memory with the options, for the program that this process becomes."""
    descriptor = write_text(json.dumps(asdict(options)))
    os.set_inheritable(descriptor, True)
    os.set_inheritable(options.limits, True)
    for worker in options.workers:
        worker.ends.set_inheritable(True)
    return descriptor


def read_options(descriptor: int) -> SupervisorOptions:
    """The options that were written; programs that this process starts do not get their descriptors."""
    with os.fdopen(descriptor) as file:
        fields = json.load(file)
    workers = [StartedWorker(worker["pid"], WorkerEnds(**worker["ends"])) for worker in fields["workers"]]
    for worker in workers:
        worker.ends.set_inheritable(False)
    options = SupervisorOptions(**{**fields, "workers": workers})
    os.set_inheritable(options.limits, False)
    return options
