"""The models folder: which files are models, before any of them is opened.

`<name>/<version>/model.onnx` is version `<version>` of `<name>`; `<name>.onnx` is version 1.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
