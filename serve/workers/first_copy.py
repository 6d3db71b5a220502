"""The models folder filled from its source before the server starts."""

import logging
import subprocess
from collections.abc import Callable
from time import gmtime, monotonic, strftime

from serve.engine.errors import RepositoryError, StartupError
from serve.engine.repository import find_models
from serve.sources.options import SourceOptions
from serve.sources.status import SourceStatus, read_status
from serve.workers.copying import COMMAND

START_SECONDS = 60.0
"""A server that has a copy does not wait longer for its source."""
WAIT_SECONDS = 5.0

log = logging.getLogger("adaptact")


def bring_models(options: SourceOptions, on_wait: Callable[[], None], *, may_be_empty: bool = False) -> None:
    """The models folder is as the source has it, or as it last was where the source is away.

    `on_wait` is called again and again meanwhile. Raises `StartupError` where there is no model then, unless
    `may_be_empty`.
    """
    had_copy, began = _has_models(options), monotonic()
    given: str | None = options.to_json()
    with subprocess.Popen(
        [*COMMAND, "first"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        while True:
            try:
                said, _ = run.communicate(given, timeout=WAIT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                given = None  # it has it
                on_wait()
            if had_copy and monotonic() - began > START_SECONDS:
                run.kill()
    if run.returncode not in (0, 1) and said.strip():
        raise StartupError(said.strip().splitlines()[-1])
    status = read_status(options.folder)
    if not _has_models(options):
        problem = f"no model from `{options.url}`: {_explain(status, run.returncode)}"
        if not may_be_empty:
            raise StartupError(problem)
        log.warning("%s", problem)
    elif run.returncode:
        log.warning(
            "`%s`: %s; the copy in `%s` is served, which is of %s",
            *(options.url, _explain(status, run.returncode), options.folder, _format_time(status.succeeded)),
        )


def _has_models(options: SourceOptions) -> bool:
    try:
        return any(not entry.problem for entry in find_models(options.folder))
    except RepositoryError:
        return False


def _explain(status: SourceStatus, returncode: int) -> str:
    if returncode < 0:
        return f"it could not be read in {START_SECONDS:.0f} s"
    if status.error:
        return status.error
    return "; ".join(f"{part} {refusal.reason}" for part, refusal in list(status.refusals.items())[:3])


def _format_time(seconds: float) -> str:
    return strftime("%Y-%m-%d %H:%M:%S UTC", gmtime(seconds)) if seconds else "an unknown time"
