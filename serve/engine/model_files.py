"""A version's files, open while they are loaded: what is checked is what ONNX Runtime reads."""

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from io import FileIO
from mmap import ACCESS_READ, mmap
from pathlib import Path

from serve.engine.errors import ModelRefusedError
from serve.engine.repository import Fingerprint, ModelFile, find_sidecar_files

# Other threads run between the pieces of a file.
PIECE_BYTES = 2**20
MOST_COUNTED = 4096  # versions whose size is remembered
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
# Of a file in ONNX Runtime's own format, which ONNX Runtime otherwise recognises by its suffix only.
ORT_FORMAT = b"ORTM"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The ONNX file, and its sidecar files by their paths in its folder."""

    path: str
    """Where to load it from: with its content, ONNX Runtime would take twice its size more while it loads."""
    folder: Path
    is_ort_format: bool
    sidecars: Mapping[str, bytes] = field(default_factory=dict)
    content: mmap | bytes = b""
    """What is at `path`, if that is a private copy; else empty."""

    @contextmanager
    def extend(self, more: bytes) -> Iterator[str]:
        """The path of a copy of the ONNX file with these bytes behind it, which is there within the block.

        ONNX Runtime loads a path without holding up other threads, and bytes not.
        """
        with open(self.path, "rb", buffering=0) as stream, _create_memory() as copy:
            while os.sendfile(copy.fileno(), stream.fileno(), None, PIECE_BYTES):
                pass
            copy.write(more)
            yield f"/proc/self/fd/{copy.fileno()}"

    def count_bytes(self) -> int:
        """How large all of them are together."""
        return os.stat(self.path).st_size + sum(map(len, self.sidecars.values()))


@contextmanager
def open_files(entry: ModelFile, limit_bytes: int, *, is_private: bool = False) -> Iterator[ModelFiles]:
    """The version's files, to be loaded within the block.

    `is_private` takes a copy that nobody can change, so that it can be checked before it is loaded. Raises
    `ModelRefusedError` if the files cannot be read, exceed the limit, or change before the block ends.
    """
    with ExitStack() as opened:
        with _refuse_unreadable(entry.path):
            stream = opened.enter_context(entry.path.open("rb", buffering=0))
            before = os.fstat(stream.fileno())
            _check_size(entry.path, before.st_size, limit_bytes)
            if is_private:
                stream = opened.enter_context(_copy(stream, before.st_size))
            files = _describe(entry, stream, limit_bytes, is_private=is_private)
        yield files
        with _refuse_unreadable(entry.path):
            if not is_private and _read_stamp(os.stat(entry.path)) != _read_stamp(before):
                raise ModelRefusedError(f"`{entry.path.name}` changed while it was loaded; load it again")


@lru_cache(maxsize=MOST_COUNTED)
def count_needed(entry: ModelFile, _stamp: Fingerprint) -> int:
    """How large the files are that a load of the version reads, of all that lie there; 0 if it cannot be.

    The stamp is theirs: they are looked into once, until they change.
    """
    if not entry.path.is_file():
        return 0
    try:
        with entry.path.open("rb", buffering=0) as stream:
            descriptor = stream.fileno()
            sidecars = [] if entry.bare else _find_sidecars(entry.path, descriptor).values()
            return os.fstat(descriptor).st_size + sum(sidecar.stat().st_size for sidecar in sidecars)
    except (OSError, ModelRefusedError):
        return 0


def compute_digest(files: ModelFiles) -> str:
    """SHA-256 of the open files, in hexadecimal: the same for the same content anywhere."""
    with open(files.path, "rb", buffering=0) as stream:
        digest = hashlib.file_digest(stream, "sha256")
    for name, content in sorted(files.sidecars.items()):
        digest.update(f"\0{name}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


@contextmanager
def _refuse_unreadable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelRefusedError(f"`{path.name}` cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise ModelRefusedError(f"`{path.name}` does not fit into memory") from error


def _check_size(path: Path, size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise ModelRefusedError(f"`{path.name}` has {size} bytes; the limit is {limit_bytes}")


def _read_stamp(status: os.stat_result) -> tuple[int, ...]:
    """Another one for another file, and for the same one once it is written or renamed."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy(stream: FileIO, size: int) -> FileIO:
    """The first so many bytes, in memory, which from now on nobody can change."""
    copy = _create_memory()
    try:
        while (left := size - copy.tell()) and os.sendfile(copy.fileno(), stream.fileno(), None, left):
            pass
        fcntl.fcntl(copy.fileno(), fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        copy.close()
        raise
    return copy


def _create_memory() -> FileIO:
    return FileIO(os.memfd_create("adaptact-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+")


def _describe(entry: ModelFile, stream: FileIO, limit_bytes: int, *, is_private: bool) -> ModelFiles:
    descriptor, folder = stream.fileno(), entry.path.parent
    size = os.fstat(descriptor).st_size
    return ModelFiles(
        f"/proc/self/fd/{descriptor}" if is_private else str(entry.path),
        folder,
        os.pread(descriptor, len(ORT_FORMAT), len(ORT_FORMAT)) == ORT_FORMAT,
        {} if entry.bare else _read_sidecars(entry.path, descriptor, limit_bytes - size),
        mmap(descriptor, 0, access=ACCESS_READ) if is_private and size else b"",
    )


def _read_sidecars(path: Path, descriptor: int, left_bytes: int) -> dict[str, bytes]:
    """The files that the model names, which may take so many bytes.

    They are read, since a mapped file that is written over would change what serves, or end the process.
    """
    sidecars: dict[str, bytes] = {}
    for name, sidecar in _find_sidecars(path, descriptor).items():
        size = sidecar.stat().st_size
        _check_size(sidecar, size, left_bytes)
        with sidecar.open("rb", buffering=0) as stream:
            sidecars[name] = stream.read(size)
        left_bytes -= len(sidecars[name])
    return sidecars


def _find_sidecars(path: Path, descriptor: int) -> dict[str, Path]:
    """The files that the model names: files of weights it names literally, so any other one is not needed."""
    others = {
        sidecar.relative_to(path.parent).as_posix(): sidecar
        for sidecar in find_sidecar_files(path)
        if sidecar != path
    }
    return {name: others[name] for name in _find_names(descriptor, list(others))}


def _find_names(descriptor: int, names: list[str]) -> list[str]:
    """Those of the names that the file holds."""
    missing = {name: name.encode() for name in names}
    longest = max(map(len, missing.values()), default=0)
    position = 0
    while missing and (piece := os.pread(descriptor, PIECE_BYTES + longest, position)):
        missing = {name: encoded for name, encoded in missing.items() if encoded not in piece}
        position += PIECE_BYTES
    return [name for name in names if name not in missing]
