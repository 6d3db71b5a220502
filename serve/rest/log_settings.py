"""`/v2/logging`: which messages the server logs, read and changed while it runs."""

import logging
from collections.abc import Mapping

from fastapi import APIRouter, Request
from pydantic import BaseModel

from serve.engine.errors import MalformedRequestError, listed, quoted
from serve.protocol.parameters import whole_number
from serve.protocol.text import Value
from serve.rest.body import read_small_object
from serve.rest.schemas import ERRORS, LOGGING, MAX_VERBOSE
from serve.workers.colleagues import Colleagues

# By the protocol's name, the level that a message has; its sample replies write the names with an s.
LEVELS = {"log_info": logging.INFO, "log_warning": logging.WARNING, "log_error": logging.ERROR}
ALIASES = {"log_warnings": "log_warning", "log_errors": "log_error"}
FIXED = {"log_file": "", "log_format": "default"}
VERB = "log"  # what colleagues are asked for when the settings change


class LogSettings(BaseModel):
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
        self._quiet = max(level, logging.INFO)
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

    def change(self, settings: LogSettings) -> None:
        """Let pass what these let pass, from now on."""
        self.settings = settings
        self._logger.setLevel(logging.DEBUG if settings.log_verbose_level else logging.INFO)


def log_filter(logger: logging.Logger, colleagues: Colleagues) -> LogFilter:
    """A new filter in the place of an earlier one; colleagues change it, and learn its settings, by `log`."""
    passing = LogFilter(logger)
    logger.filters[:] = [each for each in logger.filters if not isinstance(each, LogFilter)]
    logger.addFilter(passing)

    async def change(changes: Mapping[str, Value]) -> dict[str, Value]:
        passing.change(passing.settings.model_copy(update=dict(changes)))
        return passing.settings.model_dump()

    colleagues.offer(VERB, change)
    return passing


def log_settings_routes(passing: LogFilter, colleagues: Colleagues) -> APIRouter:
    """The routes of the log's settings, which are every worker's."""
    router = APIRouter(prefix="/v2/logging", tags=["server"], responses=ERRORS)

    @router.get("")
    async def log_settings() -> LogSettings:
        """Which messages are logged."""
        return passing.settings

    @router.post("", openapi_extra=LOGGING)
    async def change_log_settings(request: Request) -> LogSettings:
        """Change which messages are logged; what is not given stays."""
        given = await read_small_object(request.scope, request.receive)
        await colleagues.everybody(VERB, read_changes(given))
        return passing.settings

    return router


def read_changes(given: Mapping[str, Value]) -> dict[str, Value]:
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
            known = listed(list(LogSettings.model_fields))
            raise MalformedRequestError(f"{quoted(key)} is no setting of the log; known: {known}")
    return read
