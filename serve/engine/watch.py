"""A thread that looks after what may take too long."""

import logging
import threading
from collections.abc import Callable, Sequence

CHECK_SECONDS = 0.1

log = logging.getLogger("adaptact")


class Watch:
    """Calls every check ten times a second, whatever the event loop does."""

    def __init__(self, checks: Sequence[Callable[[], None]]) -> None:
        """Start the thread."""
        self._checks = checks
        self._closed = threading.Event()
        threading.Thread(target=self._work, name="adaptact-watch", daemon=True).start()

    def close(self) -> None:
        """Make no further calls."""
        self._closed.set()

    def _work(self) -> None:
        while not self._closed.wait(CHECK_SECONDS):
            for check in self._checks:
                try:
                    check()
                except Exception as error:
                    log.error("a check of what runs failed", exc_info=error)
