"""Which messages the server logs: read and changed while it runs, by whichever door, for every worker."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.protocol.json_text import Value
from serve.protocol.parameters import whole_number
from serve.shared.worker_group import WorkerGroup

# By the protocol's name, the level that a message has; its sample replies write the names with an s.
LEVELS = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
ALIASES = {"log_warnings": "log_warning", "log_errors": "log_error"}
FIXED = {"log_file": "", "log_format": "default"}
MAX_VERBOSE = 2**31 - 1
VERB = "log"  # what colleagues are asked for when the settings change


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Which messages are logged; where they go, and in which form, is the operator's to say at the start."""

    log_file: str = ""
    log_info: bool = True
    log_warning: bool = True
    log_error: bool = True
    log_verbose_level: int = 0
    log_format: str = "default"


class LogFilter(logging.Filter):
    """Lets pass what the settings let pass; those of the level that the logger has at the start."""

    def __init__(self, logger: logging.Logger) -> None:
        """Read the logger's level."""
        super().__init__()
        self._logger = logger
        level = logger.getEffectiveLevel()
        self.settings = LogSettings(
            log_info=level <= logging.INFO,
            log_warning=level <= logging.WARNING,
            log_error=level <= logging.ERROR,
            log_verbose_level=int(level < logging.INFO),
        )

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the message is logged; one more serious than an error always is."""
        if record.levelno < logging.INFO:
            return self.settings.log_verbose_level > 0
        for name, level in LEVELS.items():
            if record.levelno <= level:
                return bool(getattr(self.settings, name))
        return True

    def change(self, changes: Mapping[str, Any]) -> None:
        """Let pass what the settings with these changes let pass, from now on."""
        self.settings = replace(self.settings, **changes)
        self._logger.setLevel(logging.DEBUG if self.settings.log_verbose_level else logging.INFO)


def install_log_filter(logger: logging.Logger, colleagues: WorkerGroup) -> LogFilter:
    """A new filter in the place of an earlier one; colleagues change it, and learn its settings, by `log`."""
    passing = LogFilter(logger)
    logger.filters[:] = [each for each in logger.filters if not isinstance(each, LogFilter)]
    logger.addFilter(passing)

    async def change(changes: Mapping[str, Value]) -> dict[str, Value]:
        passing.change(changes)
        return asdict(passing.settings)

    colleagues.register(VERB, change)
    return passing


async def update_log_settings(colleagues: WorkerGroup, given: Mapping[str, Value]) -> LogSettings:
    """The settings, after every worker has changed those given; raises `MalformedRequestError`."""
    settings, *_ = await colleagues.broadcast(VERB, parse_changes(given))
    return LogSettings(**settings)


def parse_changes(given: Mapping[str, Value]) -> dict[str, Value]:
    """The settings to change, by name; raises `MalformedRequestError` for one that cannot be."""
    read: dict[str, Value] = {}
    for key, value in given.items():
        name = ALIASES.get(key, key)
        if name in FIXED:
            if value != FIXED[name]:
                raise MalformedRequestError(f"`{name}` cannot be changed while the server runs")
        elif name in LEVELS:
            if not isinstance(value, bool):
                raise MalformedRequestError(f"`{name}` is {quoted(value)}, expected true or false")
            read[name] = value
        elif name == "log_verbose_level":
            read[name] = whole_number("request", "", value, name, MAX_VERBOSE)
        else:
            known = listed(list(LogSettings.__dataclass_fields__))
            raise MalformedRequestError(f"{quoted(key)} is no setting of the log; known: {known}")
    return read
