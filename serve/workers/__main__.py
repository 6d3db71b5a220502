"""The process that owns the ports.

`python -m serve.workers LISTENERS OPTIONS`: the descriptors of the listening sockets, such as `3,4`, and of
`write_options`.
"""

import asyncio
import socket
import sys
from contextlib import suppress

from adaptact import exit_codes
from adaptact.errors import OutputError
from adaptact.exit_codes import FAILED
from adaptact.output import print_json, print_lines
from adaptact.text import escape_line
from serve.engine.errors import StartupError
from serve.observe.log_lines import configure_log
from serve.workers.options import SupervisorOptions, read_options
from serve.workers.supervisor import Supervisor
from serve.workers.systemd import notify

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def main() -> None:
    """Serve until a signal; exits with 1 where no worker can start."""
    exit_codes.run(_serve, {StartupError: FAILED})


def _serve() -> None:
    listeners = [socket.socket(fileno=int(number)) for number in sys.argv[1].split(",")]
    options = read_options(int(sys.argv[2]))
    for listener in listeners:
        listener.set_inheritable(False)
    configure_log(options.log_level, LOG_FORMAT)
    supervisor = Supervisor(listeners, options)
    asyncio.run(supervisor.run(lambda models: _announce(options, models)))


def _announce(options: SupervisorOptions, models: str) -> None:
    notify("READY=1", f"STATUS={escape_line(f'{options.url} serves {models}')}")
    if options.announcement == "nothing":
        return
    with suppress(OutputError):  # a server without standard output serves all the same
        if options.announcement == "json":
            parts = {"url": options.url, "grpc_port": options.grpc_port or None, "serves": models}
            print_json({**parts, "on": options.manner})
            return
        grpc = f" and gRPC on port {options.grpc_port}" if options.grpc_port else ""
        print_lines(f"adaptact-serve: {options.url}{grpc} serves {models} on {options.manner}")


if __name__ == "__main__":
    main()
