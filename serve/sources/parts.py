"""The source's files as the parts of a models folder, each of which is taken as a whole or not at all."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import TypeAlias

from serve.engine.config import CONFIG_FILE
from serve.engine.errors import quote
from serve.engine.repository import DESCRIBING, MAX_DEPTH, MAX_FILES, MODEL_FILE, NAME, VERSION
from serve.sources.errors import SourceError
from serve.sources.source import SourceFile

SUMS_FILE = "SHA256SUMS"
MAX_LISTED = 20_000
"""Files of a source. Their names alone take some megabytes."""
MAX_BESIDE_BYTES = 64 * 2**20
"""Of all the files beside a model's versions: names of classes, and a tokenizer."""
LONGEST_NAME, LONGEST_PATH = 255, 1000

Key: TypeAlias = tuple[str, str]
"""A model's name and a version; or an empty text, for the files beside the versions."""


@dataclass(frozen=True, slots=True)
class Part:
    """A version of a model, or the files beside its versions."""

    model: str
    version: str
    """Empty for the files beside the versions."""
    files: tuple[SourceFile, ...]
    problem: str = ""
    """Why it cannot be taken."""

    @property
    def key(self) -> Key:
        """Which part of the models folder it is."""
        return self.model, self.version

    @property
    def folder(self) -> str:
        """Its path in the models folder."""
        return f"{self.model}/{self.version}" if self.version else self.model

    @property
    def size(self) -> int:
        """Of all its files, in bytes."""
        return sum(file.size for file in self.files)

    def name(self, file: SourceFile) -> str:
        """The file's path in the part's folder."""
        return file.path.removeprefix(f"{self.folder}/")


@dataclass(frozen=True, slots=True)
class Listing:
    """What a source has."""

    parts: list[Part]
    """The files beside the versions before these, and the highest version first."""
    foreign: list[str]
    """Paths that belong to no model."""


def list_parts(files: Iterable[SourceFile], limit_bytes: int, latest: int | None = None) -> Listing:
    """The parts of the source, those that cannot be taken with their problem.

    Raises `SourceError` where the source has too many files, or none of a model.
    """
    listed = list(islice(files, MAX_LISTED + 1))
    if len(listed) > MAX_LISTED:
        raise SourceError(
            f"it has more than {MAX_LISTED} files; name a part of it, which holds the models only"
        )
    by_key: dict[Key, list[SourceFile]] = defaultdict(list)
    foreign = []
    for file in listed:
        key = find_key(file.path)
        if key is None:
            foreign.append(file.path)
        else:
            by_key[key].append(file)
    for of_part in by_key.values():
        _drop_folders(of_part)
    keys = sorted(_select(by_key, latest), key=lambda key: (key[0], -int(key[1] or 10**18)))
    spellings: dict[str, str] = {}
    for model, _ in keys:
        spellings.setdefault(model.casefold(), model)
    parts = []
    for key in keys:
        files_of_part = tuple(by_key[key])
        problem = _find_problem(key, files_of_part, limit_bytes, spellings)
        parts.append(Part(*key, files_of_part, problem))
    return Listing(parts, foreign)


def find_key(path: str) -> Key | None:
    """The part that the file belongs to; None if it is no file of a model, or hidden."""
    if path.endswith("/") or path.startswith(".") or "/." in path:
        return None  # what some programs put for folders, and what no model needs
    name, _, rest = path.partition("/")
    first, slash, inner = rest.partition("/")
    if not NAME.fullmatch(name):
        return None
    if not slash:
        is_beside = first in (CONFIG_FILE, SUMS_FILE) or first.endswith(DESCRIBING)
        return (name, "") if is_beside else None
    return (name, first) if VERSION.fullmatch(first) and inner else None


def _drop_folders(files: list[SourceFile]) -> None:
    """Leave out the empty files that some programs put for folders."""
    # Not those of a path that is refused anyway: one may name a million folders.
    named = [file.path for file in files if not _find_path_problem(file.path)]
    folders = {str(parent) for path in named for parent in PurePosixPath(path).parents}
    files[:] = [file for file in files if file.size or file.path not in folders]


def _select(by_key: dict[Key, list[SourceFile]], latest: int | None) -> Iterator[Key]:
    """The parts of models that can be served: those with a version that has a model's file."""
    versions: dict[str, list[int]] = defaultdict(list)
    for (model, version), files in by_key.items():
        if version and any(file.path == f"{model}/{version}/{MODEL_FILE}" for file in files):
            versions[model].append(int(version))
    if not versions:
        raise SourceError(f"it holds no model; expected files `<name>/<version>/{MODEL_FILE}`")
    for model, numbers in versions.items():
        highest = sorted(numbers, reverse=True)
        yield from ((model, str(number)) for number in highest[:latest])
        if (model, "") in by_key:
            yield model, ""


def _find_problem(key: Key, files: Sequence[SourceFile], limit_bytes: int, spellings: dict[str, str]) -> str:
    model, version = key
    if (other := spellings[model.casefold()]) != model:
        return f"its name differs from {quote(other)} in upper and lower case only"
    if len(files) > MAX_FILES:
        return f"it has more than {MAX_FILES} files"
    limit = limit_bytes if version else MAX_BESIDE_BYTES
    if any(file.size < 0 for file in files):
        return "a file has a size below zero"
    if (size := sum(file.size for file in files)) > limit:
        return f"its files have {size} bytes; the limit is {limit}"
    for file in files:
        if problem := _find_path_problem(file.path):
            return f"file {quote(file.path)} {problem}"
    return _find_clash([file.path for file in files])


def _find_path_problem(path: str) -> str:
    """Why the path would not stay below the models folder, or could not be one everywhere."""
    if "\\" in path or not path.isprintable():
        return "has a character in its name that names cannot have"
    names = path.split("/")
    if len(path.encode()) > LONGEST_PATH or any(len(name.encode()) > LONGEST_NAME for name in names):
        return "has too long a name"
    if len(names) > MAX_DEPTH + 2:
        return f"lies more than {MAX_DEPTH} folders deep"
    return "" if all(names) else "has an empty name on its way"


def _find_clash(paths: Sequence[str]) -> str:
    """Why the files could not lie beside each other, on whichever file system."""
    lower = [path.casefold() for path in paths]
    files = set(lower)
    if len(files) < len(lower):
        return "two of its files have the same name, but for upper and lower case"
    folders = {str(parent) for path in lower for parent in PurePosixPath(path).parents}
    if clash := files & folders:
        return f"{quote(min(clash))} is a file and a folder"
    return ""


_SUM = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


def parse_sums(text: str) -> dict[str, str]:
    """Digests by file, as `sha256sum` writes them; raises `ValueError` for a line that is none."""
    sums = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _SUM.fullmatch(line)
        if match is None:
            raise ValueError(f"line {quote(line)} is not as `sha256sum` writes them")
        sums[match[2]] = match[1].lower()
    return sums
