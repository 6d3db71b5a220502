"""The form of the server's own log: escaped lines on standard error; the supervisor needs no more."""

import logging

from adaptact.text import escape


class EscapingFormatter(logging.Formatter):
    """Lines without control characters, which the names of files and models may have."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's lines, escaped."""
        return escape(super().format(record), longest=None)


def configure_log(level: str, line_format: str) -> None:
    """The process logs messages from this level on to standard error, in this format and escaped."""
    handler = logging.StreamHandler()
    handler.setFormatter(EscapingFormatter(line_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
