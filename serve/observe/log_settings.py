"""Which messages the server's own log has, which every worker changes together."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from serve.engine.errors import MalformedRequestError, quote, quote_names
from serve.protocol.json_text import Value
from serve.protocol.parameters import read_whole_number
from serve.shared.worker_group import WorkerGroup

# By the protocol's name, the level that a message has; its sample replies write the names with an s.
LEVELS = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
ALIASES = {"log_warnings": "log_warning", "log_errors": "log_error"}
FIXED = {"log_file": "", "log_format": "default"}
MAX_VERBOSE = 2**31 - 1
VERB = "log"  # what workers are asked when the settings change


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Which messages are logged; only the operator decides, at the start, where and in which form."""

    log_file: str = ""
    log_info: bool = True
    log_warning: bool = True
    log_error: bool = True
    log_verbose_level: int = 0
    log_format: str = "default"


class LogFilter(logging.Filter):
    """Logs the messages that the settings allow, at first those of the logger's level."""

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
        """Whether the message is logged; a message above the level of errors always is."""
        if record.levelno < logging.INFO:
            return self.settings.log_verbose_level > 0
        for name, level in LEVELS.items():
            if record.levelno <= level:
                return bool(getattr(self.settings, name))
        return True

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change these settings."""
        self.settings = replace(self.settings, **changes)
        self._logger.setLevel(logging.DEBUG if self.settings.log_verbose_level else logging.INFO)


def install_log_filter(logger: logging.Logger, workers: WorkerGroup) -> LogFilter:
    """A new filter in the place of an earlier one; the workers change and read its settings by `VERB`."""
    log_filter = LogFilter(logger)
    logger.filters[:] = [other for other in logger.filters if not isinstance(other, LogFilter)]
    logger.addFilter(log_filter)

    async def change(changes: Mapping[str, Value]) -> dict[str, Value]:
        log_filter.change(changes)
        return asdict(log_filter.settings)

    workers.register(VERB, change)
    return log_filter


async def update_log_settings(workers: WorkerGroup, changes: Mapping[str, Value]) -> LogSettings:
    """The settings after every worker has made the changes; raises `MalformedRequestError`."""
    settings, *_ = await workers.broadcast(VERB, parse_changes(changes))
    return LogSettings(**settings)


def parse_changes(request: Mapping[str, Value]) -> dict[str, Value]:
    """The settings to change, by name; raises `MalformedRequestError` for a change that is not allowed."""
    changes: dict[str, Value] = {}
    for key, value in request.items():
        name = ALIASES.get(key, key)
        if name in FIXED:
            if value != FIXED[name]:
                raise MalformedRequestError(f"`{name}` cannot be changed while the server runs")
        elif name in LEVELS:
            if not isinstance(value, bool):
                raise MalformedRequestError(f"`{name}` is {quote(value)}, expected true or false")
            changes[name] = value
        elif name == "log_verbose_level":
            changes[name] = read_whole_number("request", "", value, name, MAX_VERBOSE)
        else:
            known = quote_names(list(LogSettings.__dataclass_fields__))
            raise MalformedRequestError(f"{quote(key)} is no setting of the log; known: {known}")
    return changes
