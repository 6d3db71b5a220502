"""The program that brings a copy up to date, started each interval; it imports little, as the supervisor."""

import asyncio
import logging
import subprocess
import sys

from serve.sources.options import SourceOptions

# Without the working folder, whose files may have the names of modules.
COMMAND = (sys.executable, "-P", "-m", "serve.workers.copy_program")

log = logging.getLogger("adaptact")


async def keep_current(options: SourceOptions) -> None:
    """Start the program each interval, until this is cancelled."""
    while True:
        await asyncio.sleep(options.interval_seconds)
        try:
            run = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            log.error("the program that copies models cannot be started: %s", error)
            continue
        try:
            await run.communicate(options.to_json().encode())
        except asyncio.CancelledError:
            run.kill()
            raise
        if run.returncode is not None and run.returncode < 0:
            log.error("the program that copies models was ended by signal %d", -run.returncode)
