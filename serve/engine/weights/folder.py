"""The folder that holds what workers map: nobody else may write in it, and what is in it came there whole."""

import fcntl
import os
import re
import shutil
import stat
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from adaptact.files import find_cache_folder, read_plain_text

NAME = "weights"
DIGITS = 64
ENTRY = re.compile(f"[0-9a-f]{{{DIGITS}}}")
LOCK, NEW = ".lock", ".new"
"""Beside an entry: who uses or makes it, and what is not whole yet."""
MAX_NOTE_BYTES = 2**16


class WeightsFolder:
    """A private folder of entries, each a folder that is never written to once it is there.

    It stays open, and is reached by that descriptor: whoever moves it away, or a link into its place, changes
    nothing here.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        """Make it, or use the one there is; raises OSError if that cannot be, or if another user owns it."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = path / f"{NAME}-{os.geteuid()}"
        with suppress(FileExistsError):
            own.mkdir(mode=0o700)
        descriptor = os.open(own, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        weakref.finalize(self, os.close, descriptor)
        _require_private(own, os.fstat(descriptor))
        self._path = Path(f"/proc/self/fd/{descriptor}")
        self._limit_bytes = limit_bytes
        with tempfile.TemporaryFile(dir=self._path):
            pass  # it is of no use where nothing can be written

    def entry(self, key: str) -> Path:
        """Where the entry is, or would be."""
        return self._path / key

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may be written, by the limit and by what the disk has left."""
        return size <= self._limit_bytes and 2 * size <= shutil.disk_usage(self._path).free

    @contextmanager
    def try_lock(self, key: str, *, alone: bool) -> Iterator[bool]:
        """Whether this process may read the entry within the block, or change it where it is `alone`.

        A process that is killed holds nothing any more.
        """
        path = self._path / f"{key}{LOCK}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            is_held = _try_flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield is_held and _is_at(path, descriptor)  # another one may have removed it meanwhile
        finally:
            os.close(descriptor)

    def read_note(self, key: str) -> str:
        """What was noted of the entry last, with which this may be compared; empty if nothing was."""
        try:
            return read_plain_text(self._path / f"{key}{LOCK}", MAX_NOTE_BYTES)
        except (OSError, ValueError):
            return ""

    def write_note(self, key: str, note: str) -> None:
        """Note this of the entry, whose lock must be held; on a full disk nothing may be noted."""
        with suppress(OSError):
            (self._path / f"{key}{LOCK}").write_text(note)

    @contextmanager
    def make(self, key: str) -> Iterator[Path]:
        """A new folder, which is the entry once the block ends without an error; its lock must be held."""
        new = self._path / f"{key}{NEW}"
        shutil.rmtree(new, ignore_errors=True)  # of one that was killed while this one waited for it
        new.mkdir(mode=0o700)
        try:
            yield new
            self._remove(key)
            new.rename(self.entry(key))
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def remove_unfinished(self) -> None:
        """Remove what processes that were killed have left half-written."""
        for path in self._path.glob(f"*{NEW}"):
            key = path.name.removesuffix(NEW)
            if ENTRY.fullmatch(key):
                with self.try_lock(key, alone=True) as is_mine:
                    if is_mine:
                        shutil.rmtree(path, ignore_errors=True)

    def trim(self) -> None:
        """Remove the entries that were used longest ago, until all others are within the limit."""
        ages: dict[str, int] = {}
        for path in self._path.glob(f"*{LOCK}"):
            with suppress(FileNotFoundError):  # another process removes it
                ages[path.name.removesuffix(LOCK)] = path.stat().st_mtime_ns
        keys = sorted(filter(ENTRY.fullmatch, ages), key=lambda key: -ages[key])
        total = 0
        for key in keys:
            total += _count_bytes(self.entry(key))
            if total > self._limit_bytes or not self.entry(key).exists():
                with self.try_lock(key, alone=True) as is_mine:
                    if is_mine:
                        self._remove(key)
                        (self._path / f"{key}{LOCK}").unlink(missing_ok=True)

    def _remove(self, key: str) -> None:
        """What processes have mapped of it stays theirs."""
        path = self.entry(key)
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        shutil.rmtree(path, ignore_errors=True)


def find_usual_folder() -> Path:
    """Where entries are unless a setting says otherwise: what systemd names, else in the user's own cache.

    Raises RuntimeError for a user without a home.
    """
    given = os.environ.get("CACHE_DIRECTORY", "").partition(":")[0]
    return Path(given) if given else find_cache_folder(NAME)


def _require_private(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(1, f"`{path}` belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(1, f"`{path}` is open to other users; expected the mode 0700")


def _try_flock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.utime(descriptor)  # when it was last used
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _count_bytes(folder: Path) -> int:
    total = 0
    with suppress(OSError):  # another process may be removing it
        total = sum(member.stat().st_size for member in os.scandir(folder))
    return total
