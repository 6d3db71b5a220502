"""One synchronisation of a copy with its source, in a process of its own: what leaks there ends with it.

`python -m serve.workers.copy_program [first]`; the options come on standard input. Exits with 1 where the
source could not be read, and with 2 where the copy cannot be used: standard output then ends with the reason.
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from functools import partial

from adaptact.exit_codes import FAILED, FINE, WRONG_USE
from serve.engine.errors import StartupError
from serve.observe.log_lines import configure_log
from serve.sources.mirror import log, synchronise
from serve.sources.opening import open_source
from serve.sources.options import parse_options

NICENESS = 10
"""The workers answer first."""
LOG_FORMAT = "%(asctime)s %(levelname)s [models] %(message)s"


def main() -> int:
    """The exit status, after the copy was made to be what the source has."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    is_first = "first" in sys.argv[1:]
    options = parse_options(sys.stdin.read())
    configure_log(options.log_level, LOG_FORMAT)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log addresses with signatures in them
    if not is_first:
        with suppress(OSError):  # a service may forbid it
            os.nice(NICENESS)
    try:
        status = synchronise(partial(open_source, options.url, options.latest), options, is_first=is_first)
    except (StartupError, OSError) as error:
        if not is_first:
            log.error("models cannot be brought up to date: %s", error)
        sys.stdout.write(f"{error}\n")
        return WRONG_USE
    if status.error:
        log.error("models cannot be brought up to date: %s", status.error)
    return FAILED if status.error else FINE


if __name__ == "__main__":
    sys.exit(main())
