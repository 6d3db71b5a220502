"""A version's files, read into memory once: what is judged is what is loaded, and it cannot change after.

ONNX Runtime would map weights beside the model from the disk, and a file that is written over while it is
mapped ends the whole process (SIGBUS) at the next run.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from serve.engine.config import FILE as CONFIG
from serve.engine.errors import ModelRefusedError
from serve.engine.repository import ModelFile

MOST_FILES = 1000
DEEPEST = 4

# Of each file: where it is, and what changes when it is written or replaced.
Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModelBytes:
    """The ONNX file, and by their place in its folder the files beside it that it names."""

    model: bytes
    folder: Path
    beside: Mapping[str, bytes] = field(default_factory=dict)


def fingerprint(entry: ModelFile) -> Fingerprint:
    """What tells whether the version's file, any file below its folder, or its configuration has changed.

    A bare `<name>.onnx` shares its folder with other models, so of it only the file itself counts.
    """
    paths = [entry.path] if entry.bare else [*sorted(_beside(entry.path)), entry.path.parents[1] / CONFIG]
    return tuple(_stamp(each) for each in paths)


def read_files(entry: ModelFile, limit_bytes: int) -> ModelBytes:
    """The version's files; raises `ModelRefusedError` where they cannot be read or are over the limit."""
    path = entry.path
    try:
        content = _read(path, limit_bytes)
        if entry.bare:
            return ModelBytes(content, path.parent)
        left = limit_bytes - len(content)
        beside: dict[str, bytes] = {}
        for each in _beside(path):
            name = each.relative_to(path.parent).as_posix()
            # ONNX names a file of weights as it is written, so one that it does not name is not needed.
            if each != path and name.encode() in content:
                beside[name] = _read(each, left)
                left -= len(beside[name])
    except OSError as error:
        raise ModelRefusedError(f"`{path.name}` cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise ModelRefusedError(f"`{path.name}` does not fit into memory") from error
    return ModelBytes(content, path.parent, beside)


def _read(path: Path, limit_bytes: int) -> bytes:
    size = path.stat().st_size
    if size > limit_bytes:
        raise ModelRefusedError(f"`{path.name}` has {size} bytes; the limit is {limit_bytes}")
    with path.open("rb") as stream:
        return stream.read(size)


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1, -1
    return str(path), found.st_size, found.st_mtime_ns, found.st_ino


def _beside(path: Path) -> Iterator[Path]:
    """The regular files below the model's folder; links, which may lead anywhere, ONNX Runtime judges."""
    found = 0
    for folder, folders, names in os.walk(path.parent):
        if len(Path(folder).relative_to(path.parent).parts) >= DEEPEST:
            folders.clear()
        for name in names:
            each = Path(folder) / name
            # To open a pipe would wait for whoever writes to it.
            if each != path and (each.is_symlink() or not each.is_file()):
                continue
            found += 1
            if found > MOST_FILES:
                raise ModelRefusedError(f"its folder holds more than {MOST_FILES} files")
            yield each
