"""The process that owns the port.

`python -m serve.workers LISTENER OPTIONS`: the descriptors of the listening socket and of `write_options`.
"""

import os
import socket
import sys
from contextlib import suppress

from adaptact import exit_codes
from adaptact.errors import OutputError
from adaptact.exit_codes import FAILED
from adaptact.output import print_lines
from serve.engine.errors import StartupError
from serve.shared.memory import create_limits
from serve.workers.options import SupervisorOptions, read_options
from serve.workers.spawn import WorkerProcess, spawn_process

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def main() -> None:
    """Serve until a signal; exits with 1 where no worker can start."""
    exit_codes.run(_serve, {StartupError: FAILED})


def _serve() -> None:
    listener, options = int(sys.argv[1]), read_options(int(sys.argv[2]))
    os.set_inheritable(listener, False)
    limits = create_limits()
    # A worker takes longest to start, so it starts before what only the supervisor needs is imported.
    first = _spawn(options, limits)

    import asyncio  # noqa: PLC0415

    from serve.observe.log_lines import configure_log  # noqa: PLC0415
    from serve.workers.supervisor import Supervisor  # noqa: PLC0415

    configure_log(options.log_level, LOG_FORMAT)
    supervisor = Supervisor(socket.socket(fileno=listener), options, limits)
    asyncio.run(supervisor.run(first, lambda models: _announce(options, models)))


def _spawn(options: SupervisorOptions, limits: int) -> list[WorkerProcess]:
    try:
        return [spawn_process(options.settings, limits) for _ in range(options.workers)]
    except OSError as error:
        raise StartupError(f"a worker cannot be started: {error.strerror}") from error


def _announce(options: SupervisorOptions, models: str) -> None:
    with suppress(OutputError):  # a server without standard output serves all the same
        print_lines(f"adaptact-serve: {options.url} serves {models} on {options.manner}")


if __name__ == "__main__":
    main()
