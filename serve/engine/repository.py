"""The models folder: which files are models, and what shows that a version's files have changed."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from serve.engine.config import CONFIG_FILE as CONFIG
from serve.engine.errors import ModelRefusedError, RepositoryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
VERSION = re.compile(r"[1-9][0-9]{0,17}")
MODEL_FILE = "model.onnx"
SUFFIX = ".onnx"
TOKENIZER_FILE = "tokenizer.json"
# Beside a model's versions: the names of its classes, and its tokenizer.
DESCRIBING = (".json", ".txt")
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""What the process lacks for a moment says nothing about a folder that it could not read."""
MAX_FILES = 1000
MAX_DEPTH = 4

Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Of each file: its path, and what changes when it is written or replaced."""
Fingerprints: TypeAlias = dict[str, Fingerprint]
"""By version, what shows whether its files have changed."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The location of one version of a model; `problem` is the reason why it is not served, if any."""

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
        entries = [entry for path in sorted(folder.iterdir()) for entry in _find_entries(path)]
    except OSError as error:
        raise RepositoryError(f"models folder `{folder}` cannot be read: {error.strerror}") from error
    return sorted(_merge_duplicates(entries), key=lambda entry: (entry.name, int(entry.version)))


def check_loadable(folder: Path, entry: ModelFile) -> None:
    """Raise `ModelRefusedError` unless the entry is a file inside the folder."""
    if entry.problem:
        raise ModelRefusedError(entry.problem)
    path = entry.path
    # Links among a model's external data are refused by ONNX Runtime.
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelRefusedError(f"`{path.name}` is a link that leads out of the models folder")
    if not path.is_file():
        raise ModelRefusedError(f"there is no file `{path.name}`")


def read_fingerprint(entry: ModelFile) -> Fingerprint:
    """Changes whenever the version's file, a file below its folder, or what describes the model does.

    A bare `<name>.onnx` shares its folder with other models, so only the file itself and its tokenizer count.
    """
    if entry.bare:
        paths = [entry.path, entry.path.with_name(f"{entry.path.stem}.{TOKENIZER_FILE}")]
    else:
        paths = [*sorted(find_sidecar_files(entry.path)), *_find_describing(entry.path.parents[1])]
    return tuple(map(_read_stamp, paths))


def read_fingerprints(files: Sequence[ModelFile]) -> Fingerprints:
    """The fingerprint of each version."""
    fingerprints: Fingerprints = {}
    for file in files:
        try:
            fingerprints[file.version] = read_fingerprint(file)
        except ModelRefusedError:
            # Too many files to look at: it stays the same until there are fewer.
            fingerprints[file.version] = ()
    return fingerprints


def _find_describing(folder: Path) -> list[Path]:
    """The model's configuration, and the files that it may name."""
    try:
        with os.scandir(folder) as members:
            names = [member.name for member in islice(members, MAX_FILES) if member.name.endswith(DESCRIBING)]
    except OSError:
        names = []
    return [folder / CONFIG, *(folder / name for name in sorted(names))]


def find_sidecar_files(path: Path) -> Iterator[Path]:
    """The regular files below the model's folder; ONNX Runtime checks links, which may lead anywhere."""
    count = 0
    for folder, folders, names in os.walk(path.parent):
        if len(Path(folder).relative_to(path.parent).parts) >= MAX_DEPTH:
            folders.clear()
        for name in names:
            sidecar = Path(folder) / name
            # Opening a pipe would wait for its writer.
            if sidecar != path and (sidecar.is_symlink() or not sidecar.is_file()):
                continue
            count += 1
            if count > MAX_FILES:
                raise ModelRefusedError(f"its folder holds more than {MAX_FILES} files")
            yield sidecar


def _find_entries(path: Path) -> Iterator[ModelFile]:
    if path.name.startswith("."):
        return
    if path.suffix == SUFFIX and not path.is_dir():
        yield ModelFile(path.stem, "1", path, _name_problem(path.stem), bare=True)
    elif path.is_dir():
        yield from _find_versions(path)


def _find_versions(path: Path) -> Iterator[ModelFile]:
    problem = _name_problem(path.name)
    try:
        versions = [
            Path(member) for member in os.scandir(path) if VERSION.fullmatch(member.name) and member.is_dir()
        ]
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        # A disk's own `lost+found`, for example, is not a model.
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


def _merge_duplicates(entries: list[ModelFile]) -> list[ModelFile]:
    """The same entries, but a version that two files claim is one entry with a problem."""
    by_key: dict[tuple[str, str], ModelFile] = {}
    for entry in entries:
        key = (entry.name, entry.version)
        if key in by_key:
            bare, inner = f"{entry.name}{SUFFIX}", f"{entry.name}/1/{MODEL_FILE}"
            problem = f"both `{bare}` and `{inner}` claim version 1"
            entry = ModelFile(*key, entry.path, problem)  # noqa: PLW2901  the pair becomes one entry
        by_key[key] = entry
    return list(by_key.values())


def _read_stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), -1, -1, -1
    return str(path), status.st_size, status.st_mtime_ns, status.st_ino
