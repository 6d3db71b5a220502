"""The audit log: every administrative request as one line of JSON, with who made it and what became of it."""

import json
import logging
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from serve.engine.errors import StartupError

log = logging.getLogger("adaptact.audit")


class AuditLog:
    """Lines appended to a file, or without one to the server's own log.

    Where the file was moved away a new one is begun; a line that cannot be written is in the server's log.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file; raises `StartupError` where that cannot be."""
        self._handler: logging.Handler | None = None
        if path is not None:
            try:
                self._handler = WatchedFileHandler(path, encoding="utf-8")
            except OSError as error:
                raise StartupError(f"the audit log `{path}` cannot be written: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._handler is not None:
            self._handler.close()

    def record(self, caller: str, action: str, status: int, request_id: str) -> None:
        """Append a line: when, who, what, and the status that it was answered with."""
        line = json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "caller": caller,
                "action": action,
                "status": status,
                "request_id": request_id,
            }
        )
        if self._handler is None:
            log.info("%s", line)
            return
        try:
            self._handler.handle(logging.makeLogRecord({"msg": line}))
        except OSError as error:
            log.error("the audit log cannot be written (%s): %s", error.strerror, line)
