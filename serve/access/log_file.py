"""Log files that an operator may move away while the server writes to them."""

import errno
import os
import stat
from pathlib import Path
from time import monotonic


class LogFile:
    """Lines appended to a file; where it was moved away, a new one takes its place.

    A line is written at once and in one piece, so that several processes can share a file. It begins anew
    behind a part of a line that a process has left, which was killed or had no more room on the disk.
    """

    def __init__(self, path: Path, mode: int, look_seconds: float = 0.0) -> None:
        """Open the file, or create it with the mode; raises OSError. Look for it every `look_seconds`."""
        self._path = path
        self._mode = mode
        self._look_seconds = look_seconds
        self._descriptor = self._open()
        self._is_torn = self._ends_in_part()
        self._next_look = monotonic() + look_seconds

    def write(self, line: bytes) -> None:
        """Append the line; raises OSError, also where the disk has room for a part of it only."""
        now = monotonic()
        if now >= self._next_look:
            self._next_look = now + self._look_seconds
            self._reopen_if_moved()
            self._is_torn = self._is_torn or self._ends_in_part()
        if self._is_torn:
            line = b"\n" + line
        written = os.write(self._descriptor, line)
        self._is_torn = written < len(line)
        if self._is_torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _reopen_if_moved(self) -> None:
        own = os.fstat(self._descriptor)
        try:
            current = self._path.stat()
        except FileNotFoundError:
            current = None
        if current is None or (current.st_dev, current.st_ino) != (own.st_dev, own.st_ino):
            descriptor = self._open()
            os.close(self._descriptor)
            self._descriptor = descriptor
            self._is_torn = False

    def _ends_in_part(self) -> bool:
        """Whether the file's last line has no end; False where that cannot be read."""
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            return False
        try:
            with self._path.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                if size == 0 or os.pread(stream.fileno(), 1, size - 1) == b"\n":
                    return False
                # A line that another process is writing grows by pages. A write of nothing waits for its end.
                os.write(self._descriptor, b"")
                return stream.seek(0, os.SEEK_END) == size
        except OSError:
            return False

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, self._mode)
