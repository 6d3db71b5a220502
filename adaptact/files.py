"""Files that appear whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from adaptact.errors import OutputError, UsageError

_SHOWN = 50  # characters of the name: with the rest they stay under the 255 bytes that a file's name may have
# A folder that cannot be opened, or a file system that syncs files alone; the exchange itself has been made.
_UNSYNCED = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF)


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """A new file in `path`'s folder that takes its place once the block ends without an error.

    Its content is on the disk before it does, and the exchange itself after. After an error the new file is
    removed and whatever was at `path` stays; a process that is killed leaves it, under a name that begins
    with a dot. Raises OSError where the folder is missing or not writable, or where something else than a
    file, or a link, which the new file replaces, stands at `path`.
    """
    _require_replaceable(path)
    temporary = path.parent / f".{path.name[:_SHOWN]}.{secrets.token_hex(8)}"
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """The file holds the text, or what it held before. Raises OutputError where it cannot be written."""
    try:
        with replace_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write `{path}`: {error.strerror or error}") from error


def find_cache_folder(name: str) -> Path:
    """The user's folder for what can be made anew: `adaptact/NAME` in XDG_CACHE_HOME, or else in ~/.cache."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))  # its specification says to ignore a relative one
    return (named if named.is_absolute() else Path.home() / ".cache") / "adaptact" / name


def read_plain_text(path: Path, largest: int) -> str:
    """A plain file's text. Raises OSError or ValueError for a link, a pipe, or more than so many bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"`{path}` is no plain file")
        content = stream.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"`{path}` has more than {largest} bytes")
    return content.decode()


def require_apart(written: Path, read: Iterable[Path | str | None]) -> None:
    """Raises UsageError where a file that is to be written is one of those that are read."""
    for path in read:
        # Not by their methods, which raise where a folder on the way may not be searched.
        if path and os.path.exists(written) and os.path.exists(path) and os.path.samefile(written, path):
            raise UsageError(f"`{written}` is a file to read; write to another one")


def require_kind(written: Path, suffixes: tuple[str, ...]) -> None:
    """Raises UsageError where a file of another kind, by its name, would be replaced."""
    if os.path.isfile(written) and written.suffix.lower() not in suffixes:
        expected = " or ".join(f"`{suffix}`" for suffix in suffixes)
        raise UsageError(
            f"`{written}` is there already, and does not end in {expected}",
            "choose another name, or remove it first",
        )


def _require_replaceable(path: Path) -> None:
    """Raises OSError where a device, a pipe or a folder stands at `path`: root could replace even those."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise OSError(errno.EEXIST, "what stands there is no file", str(path))


def sync(path: Path) -> None:
    """The file's content is on the disk; raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """The folder's list of names is on the disk, where the file system can do that; raises OSError."""
    try:
        sync(path)
    except OSError as error:
        if error.errno not in _UNSYNCED:
            raise
