"""Files that are read again when they have changed."""

from pathlib import Path
from time import monotonic

LOOK_SECONDS = 1.0


class Watched:
    """Files as they were at the last look; looked at when somebody asks, but not all the time."""

    def __init__(self, *paths: Path) -> None:
        """Look at them; to be made before they are read, so that no change is missed."""
        self._paths = paths
        self._stamps = [_stamp(path) for path in paths]
        self._looked = monotonic()

    def changed(self) -> bool:
        """Whether one has changed since the last look, which is made again after LOOK_SECONDS."""
        now = monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        before, self._stamps = self._stamps, [_stamp(path) for path in self._paths]
        return before != self._stamps


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
