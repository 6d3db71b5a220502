"""Earlier choices in a folder that all workers share: a small file for each, the oldest of many removed.

A file that is damaged, too large, or not a plain file is as good as missing.
"""

import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from adaptact.files import find_cache_folder, read_plain_text, replace_file
from convert.manifest.decode import decode
from convert.manifest.providers import ProviderChoiceRecord

LARGEST = 64 * 2**10  # bytes of a file that is read
MOST_FILES = 256
SUFFIX = ".json"
LOCK = "lock"
log = logging.getLogger("adaptact")


class ChoiceCache:
    """The choices in a folder, by key."""

    def __init__(self, folder: Path | None) -> None:
        """Use the folder; where that is None or cannot be used, the user's own cache folder."""
        self._folder = next(filter(_prepare, _list_folders(folder)), None)
        if self._folder is None:
            log.warning("no folder can be written for choices of providers: each worker measures for itself")

    def read(self, key: str) -> ProviderChoiceRecord | None:
        """The choice of this key; None where there is none that can be used."""
        if self._folder is None:
            return None
        path = self._folder / f"{key}{SUFFIX}"
        try:
            choice: ProviderChoiceRecord = decode(
                ProviderChoiceRecord, json.loads(read_plain_text(path, LARGEST)), "choice"
            )
        except (OSError, ValueError, RecursionError):  # a ManifestError is a ValueError
            return None
        return choice

    def write(self, key: str, choice: ProviderChoiceRecord) -> None:
        """The choice is stored; nothing happens where that fails."""
        if self._folder is None:
            return
        with suppress(OSError, ValueError):
            with replace_file(self._folder / f"{key}{SUFFIX}") as temporary:
                temporary.write_text(json.dumps(asdict(choice), allow_nan=False), encoding="utf-8")
            self._remove_oldest()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Within the block no other process measures; nothing is waited for where that cannot be."""
        with ExitStack() as held:
            if self._folder is not None:
                with suppress(OSError):  # a full disk, or a file system without locks
                    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                    descriptor = os.open(self._folder / LOCK, flags, 0o600)
                    held.callback(os.close, descriptor)
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def _remove_oldest(self) -> None:
        assert self._folder is not None
        dated = sorted((path.stat().st_mtime_ns, path) for path in self._folder.glob(f"*{SUFFIX}"))
        for _, path in dated[: max(0, len(dated) - MOST_FILES)]:
            path.unlink(missing_ok=True)


def _list_folders(chosen: Path | None) -> Iterator[Path]:
    if chosen is not None:
        yield chosen
    with suppress(RuntimeError):  # a user without a home
        yield find_cache_folder("providers")
    yield Path(tempfile.gettempdir()) / f"adaptact-{os.getuid()}" / "providers"


def _prepare(folder: Path) -> bool:
    """Whether it is there, nobody else's, and can be written."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        is_own = folder.lstat().st_uid == os.getuid() and folder.parent.lstat().st_uid in {os.getuid(), 0}
        return is_own and folder.is_dir() and not folder.is_symlink() and os.access(folder, os.W_OK)
    except OSError:
        return False
