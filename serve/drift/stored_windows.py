"""Windows that outlive their process: in the state folder, where others take over what an ended one counted.

Each process has a folder of its own there, with a lock that it holds for as long as it lives. Whoever gets
the lock of another one knows that its process has ended, however that was, and adds what it counted to its
own. So nothing is counted twice, with any number of processes, also while an old server still answers beside
a new one.
"""

import fcntl
import logging
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from time import time
from typing import Any

import numpy as np
import orjson

from serve.drift.baseline import LARGEST_COUNT, BaselineError
from serve.drift.watcher import Watcher
from serve.drift.window import Past, Tallies, TimeSlice

FORMAT = 1
LARGEST_FILE = 32 * 2**20
MOST_FOLDERS = 1024
LOCK = "lock"
SUFFIX = ".json"
NEW = "."  # what a name begins with before its lock is held
log = logging.getLogger("adaptact")


class StoredWindows:
    """One process's windows as of the last `save`; raises `OSError` where nothing can be stored."""

    def __init__(self, folder: Path, window_seconds: float) -> None:
        """The folder of all processes; nothing is there before the first `save`."""
        self._folder = folder
        self._window_seconds = window_seconds
        self._own: Path | None = None
        self._lock = -1
        self._saved: dict[str, tuple[int, int]] = {}
        self._unreadable: set[Path] = set()

    def save(self, watchers: Collection[Watcher]) -> None:
        """Store what has changed; what was stored of versions that are gone stays until it is too old."""
        changed = [each for each in watchers if each.window.changes and not self._has_saved(each)]
        if not changed and self._own is None:
            return
        own = self._open()
        for watcher in changed:
            self._save(watcher, own)
        self._remove_old(own)

    def adopt(self, watchers: Collection[Watcher]) -> None:
        """Add to the windows what ended processes have counted of these versions; own it from now on."""
        named = {_name_file(watcher): watcher for watcher in watchers}
        for folder in self._list_folders():
            with _try_lock(folder) as is_mine:
                if not is_mine:
                    continue
                for path in folder.glob(f"*{SUFFIX}"):
                    if path.name in named and path not in self._unreadable:
                        self._try_to_take(path, named[path.name])
                self._remove_old(folder)
                if not any(folder.glob(f"*{SUFFIX}")):
                    shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """From now on others may take what is stored."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock, self._own = -1, None

    def _save(self, watcher: Watcher, own: Path) -> None:
        state = (watcher.number, watcher.window.changes)
        _replace(own / _name_file(watcher), _write(self._describe(watcher)))
        self._saved[_name_file(watcher)] = state

    def _open(self) -> Path:
        """This process's folder, whose lock it holds."""
        if self._own is None or not self._own.is_dir():
            self.close()
            name = secrets.token_hex(8)
            new, self._own = self._folder / f"{NEW}{name}", self._folder / name
            new.mkdir(parents=True)
            self._lock = os.open(new / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            new.rename(self._own)
            self._saved.clear()
        return self._own

    def _has_saved(self, watcher: Watcher) -> bool:
        return self._saved.get(_name_file(watcher)) == (watcher.number, watcher.window.changes)

    def _list_folders(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        folders = (path for path in self._folder.iterdir() if not path.name.startswith(NEW))
        return [path for path, _ in zip(folders, range(MOST_FOLDERS), strict=False) if path != self._own]

    def _describe(self, watcher: Watcher) -> dict[str, object]:
        past = watcher.window.export()
        return {
            **self._identify(watcher),
            **past._asdict(),
            "slices": [each._asdict() for each in past.slices],
        }

    def _identify(self, watcher: Watcher) -> dict[str, object]:
        """What has to be the same where counts are taken over."""
        return {
            "format": FORMAT,
            "model": watcher.name,
            "version": watcher.version,
            "digest": watcher.digest,
            "baseline": watcher.baseline.digest,
            "window_seconds": self._window_seconds,
        }

    def _try_to_take(self, path: Path, watcher: Watcher) -> None:
        """What cannot be read stays where it is, and stops nothing else from being stored."""
        try:
            self._take(path, watcher)
        except OSError as error:
            self._unreadable.add(path)
            log.warning("`%s` cannot be taken over, and is left: %s", path, error.strerror)

    def _take(self, path: Path, watcher: Watcher) -> None:
        try:
            with path.open("rb") as stream:
                content = orjson.loads(stream.read(LARGEST_FILE))
            past = _parse(content, self._identify(watcher), watcher.window.shape)
        except (BaselineError, orjson.JSONDecodeError) as error:
            label = f"model `{watcher.name}` version `{watcher.version}`"
            log.warning("%s: what an earlier process counted of its drift is dropped: %s", label, error)
            path.unlink(missing_ok=True)
            return
        own = self._open() / path.name
        if not own.exists():
            path.rename(own)  # in one step: a crash here neither loses it nor counts it twice
            watcher.window.absorb(past)
            return
        path.unlink()  # first: what is lost with a crash here would else be counted twice
        watcher.window.absorb(past)
        self._save(watcher, own.parent)

    def _remove_old(self, folder: Path) -> None:
        oldest = time() - self._window_seconds
        for path in folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
                    self._saved.pop(path.name, None)


@contextmanager
def _try_lock(folder: Path) -> Iterator[bool]:
    """Whether the folder is of a process that has ended; no other one finds so until the block ends."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # others have removed it, or it is none of this server's
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield folder.is_dir()
    finally:
        os.close(descriptor)


def _name_file(watcher: Watcher) -> str:
    return sha256(orjson.dumps([watcher.name, watcher.version])).hexdigest()[:32] + SUFFIX


def _write(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _replace(path: Path, content: bytes) -> None:
    """Write the file whole; half of one, as after a failure of power, is none that can be read."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    temporary.replace(path)


def _parse(content: Any, expected: Mapping[str, object], shape: tuple[int, int]) -> Past:
    """What was stored; raises `BaselineError` for what is damaged, or of other files or settings."""
    if not isinstance(content, dict):
        raise BaselineError("it is no object")
    for name, value in expected.items():
        if content.get(name) != value:
            raise BaselineError(f"its `{name}` is another one than now")
    try:
        slices = [
            TimeSlice(_read_number(each["age"]), _read_tallies(each["tallies"], shape))
            for each in content["slices"]
        ]
        seconds, at, ticks = (_read_number(content[name]) for name in ("seconds", "at", "ticks"))
        return Past(slices, seconds, at, ticks, str(content["boot"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BaselineError(f"it is damaged: {type(error).__name__}") from error


def _read_number(value: Any) -> float:
    number = float(value)
    if not 0 <= number < LARGEST_COUNT:
        raise ValueError(number)
    return number


def _read_tallies(value: Any, shape: tuple[int, int]) -> Tallies:
    tallies = np.array(value)
    if tallies.dtype != np.int64 or tallies.shape != shape:
        raise ValueError(tallies.shape)
    if tallies.min(initial=0) < 0 or tallies.max(initial=0) > LARGEST_COUNT:
        raise ValueError(tallies.dtype)
    return tallies
