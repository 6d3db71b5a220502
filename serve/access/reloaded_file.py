"""Files that are read again when they have changed."""

from pathlib import Path
from time import monotonic

LOOK_SECONDS = 1.0


class ReloadedFiles:
    """Files whose state is compared with the last look, at most once in LOOK_SECONDS."""

    def __init__(self, *paths: Path) -> None:
        """Look at them; to be created before they are read, so that no change is missed."""
        self._paths = paths
        self._stamps = [_read_stamp(path) for path in paths]
        self._last_look = monotonic()
        self._is_unread = False

    def has_changed(self) -> bool:
        """Whether a file has changed since the last look; False until LOOK_SECONDS have passed."""
        now = monotonic()
        if now - self._last_look < LOOK_SECONDS:
            return False
        self._last_look = now
        before, self._stamps = self._stamps, [_read_stamp(path) for path in self._paths]
        was_unread, self._is_unread = self._is_unread, False
        return was_unread or before != self._stamps

    def look_again(self) -> None:
        """They could not be read, perhaps only for now: at the next look they have changed."""
        self._is_unread = True


def _read_stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
