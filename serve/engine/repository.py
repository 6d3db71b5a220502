"""The models folder: which files are models, and a version's files, read into memory once."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from serve.engine.config import FILE as CONFIG
from serve.engine.errors import ModelRefusedError, RepositoryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")
MODEL_FILE = "model.onnx"
SUFFIX = ".onnx"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Where one version of a model should be; `problem` says why it will not be served, if so."""

    name: str
    version: str
    path: Path
    problem: str = ""
    bare: bool = False
    """Whether it is `<name>.onnx`, without a folder of its own."""


def find_models(folder: Path) -> list[ModelFile]:
    """Every version in the folder, by name and then by version; raises `RepositoryError` without a folder."""
    if not folder.is_dir():
        raise RepositoryError(f"models folder `{folder}` does not exist or is not a folder")
    try:
        found = [entry for path in sorted(folder.iterdir()) for entry in _entries(path)]
    except OSError as error:
        raise RepositoryError(f"models folder `{folder}` cannot be read: {error.strerror}") from error
    return sorted(_without_doubles(found), key=lambda entry: (entry.name, int(entry.version)))


def check_loadable(folder: Path, entry: ModelFile) -> None:
    """Raise `ModelRefusedError` unless the entry is a file inside the folder."""
    if entry.problem:
        raise ModelRefusedError(entry.problem)
    path = entry.path
    # Links among a model's external data are ONNX Runtime's to refuse, and it does.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelRefusedError(f"`{path.name}` is a link that leads out of the models folder")
    if not path.is_file():
        raise ModelRefusedError(f"there is no file `{path.name}`")


def _entries(path: Path) -> Iterator[ModelFile]:
    if path.name.startswith("."):
        return
    if path.suffix == SUFFIX and not path.is_dir():
        yield ModelFile(path.stem, "1", path, _name_problem(path.stem), bare=True)
    elif path.is_dir():
        yield from _versions(path)


def _versions(path: Path) -> Iterator[ModelFile]:
    problem = _name_problem(path.name)
    try:
        versions = [
            Path(member) for member in os.scandir(path) if VERSION.fullmatch(member.name) and member.is_dir()
        ]
    except OSError as error:
        # A disk's own `lost+found`, for one, is nobody's model.
        if not problem:
            problem = f"its folder cannot be read: {error.strerror}"
            yield ModelFile(path.name, "1", path / "1" / MODEL_FILE, problem)
        return
    for version in versions:
        yield ModelFile(path.name, version.name, version / MODEL_FILE, problem)
    if not versions and any(path.glob(f"**/*{SUFFIX}")):
        missing = f"it has no version folder; expected `{path.name}/1/{MODEL_FILE}`"
        yield ModelFile(path.name, "1", path / "1" / MODEL_FILE, problem or missing)


def _name_problem(name: str) -> str:
    if NAME.fullmatch(name):
        return ""
    return (
        "a model's name has 1 to 128 letters, digits, dots, dashes and underscores, "
        "and starts with a letter or a digit"
    )


def _without_doubles(found: list[ModelFile]) -> list[ModelFile]:
    """The same entries, where a version that two files claim is one entry with a problem."""
    by_key: dict[tuple[str, str], ModelFile] = {}
    for entry in found:
        key = (entry.name, entry.version)
        if key in by_key:
            problem = f"both `{entry.name}{SUFFIX}` and `{entry.name}/1/{MODEL_FILE}` claim version 1"
            entry = ModelFile(*key, entry.path, problem)  # noqa: PLW2901  the pair becomes one entry
        by_key[key] = entry
    return list(by_key.values())


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
