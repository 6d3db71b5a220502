"""The files of an audit log: the present one, and those that were moved away beside it, the newest first."""

import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from serve.access.errors import AuditError

MOST_FILES = 1000
LARGEST_EXPANDED = 64 * 2**20
"""The most bytes of a compressed file that are read, since all of it has to be in memory."""
GZIP = ".gz"
GZIP_FORMAT = 16 + zlib.MAX_WBITS
_MOVED_AWAY = r"[.-]\d[\d.-]{0,40}"
"""What programs such as logrotate put behind a name, or before its ending: a number, or a date."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_expanding = Lock()


@dataclass(frozen=True, slots=True)
class AuditFile:
    """A file of the log; its number is the file system's, which it keeps when it is moved away."""

    path: Path
    number: int
    changed: int
    flags: int = _FLAGS | os.O_NOFOLLOW


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file: its size, and so many bytes from a place on."""

    size: int
    read: Callable[[int, int], bytes]
    is_whole: bool = True


def list_audit_files(path: Path) -> list[AuditFile]:
    """The present file, then at most MOST_FILES others by when they were last written to, the newest first.

    Raises `AuditError` where the present one is none that can be read.
    """
    names = re.compile(
        rf"{re.escape(path.name)}{_MOVED_AWAY}(\.gz)?|"
        rf"{re.escape(path.stem)}{_MOVED_AWAY}{re.escape(path.suffix)}(\.gz)?"
    )
    try:
        with os.scandir(path.parent) as entries:
            found = [Path(entry.path) for entry in entries if names.fullmatch(entry.name)]
    except OSError:
        found = []
    others = [known for other in found if (known := _describe(other)) is not None]
    others.sort(key=lambda file: (file.changed, file.path.name), reverse=True)
    return [*_list_present(path), *others[:MOST_FILES]]


def _list_present(path: Path) -> Iterator[AuditFile]:
    """The file that the server writes to, which may be a link; none where it was just moved away."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditError(f"the audit log cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise AuditError("the audit log is no file that can be read back")
    yield AuditFile(path, status.st_ino, status.st_mtime_ns, _FLAGS)


def _describe(path: Path) -> AuditFile | None:
    """The file; None where it is gone, a link or no file at all."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return AuditFile(path, status.st_ino, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def open_audit_file(file: AuditFile) -> Iterator[Content]:
    """Its content, expanded; raises `AuditError` where it cannot be read.

    Only one that is compressed is open at a time, so that the memory is that of one.
    """
    try:
        descriptor = os.open(file.path, file.flags)
    except OSError as error:
        raise AuditError(f"the audit log cannot be read ({error.strerror})") from error
    try:
        if file.path.suffix == GZIP:
            with _expanding:
                whole, is_whole = _expand(descriptor)
                yield Content(len(whole), lambda place, length: whole[place : place + length], is_whole)
        else:
            size = os.fstat(descriptor).st_size
            yield Content(size, lambda place, length: os.pread(descriptor, length, place))
    except OSError as error:
        raise AuditError(f"the audit log cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _expand(descriptor: int) -> tuple[bytes, bool]:
    """The beginning of what was compressed, up to LARGEST_EXPANDED bytes, and whether that is all of it.

    What follows damage is left out. A file may hold several compressed parts, which were appended to it.
    """
    expander = zlib.decompressobj(wbits=GZIP_FORMAT)
    whole = bytearray()
    with suppress(zlib.error):
        while piece := expander.unused_data or os.read(descriptor, 2**20):
            if expander.eof:
                expander = zlib.decompressobj(wbits=GZIP_FORMAT)
            whole += expander.decompress(piece, LARGEST_EXPANDED - len(whole))
            if len(whole) == LARGEST_EXPANDED:
                return bytes(whole), False
        return bytes(whole), expander.eof
    return bytes(whole), False
