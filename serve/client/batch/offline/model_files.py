"""The files of a model: known by a digest, and packed for machines on which they do not lie."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serve.client.errors import ChangedFileError, InvalidFileError
from serve.engine.errors import StartupError
from serve.engine.repository import (
    MODEL_FILE,
    SUFFIX,
    TOKENIZER_FILE,
    VERSION,
    Fingerprint,
    ModelFile,
    read_fingerprint,
)

PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class PackedModel:
    """The content of a model's files; their digest tells models apart."""

    path: str
    files: Mapping[str, NDArray[np.uint8]]
    digest: str

    def unpack(self, folder: Path) -> Path:
        """Write the files into the folder; returns where the model's own lies."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.data)
        return folder / self.path

    def remove_loaded(self, folder: Path) -> None:
        """Remove what a loaded model needs no more: all but tokenizers, read again if their process ends."""
        for name in self.files:
            if not name.endswith(TOKENIZER_FILE):
                (folder / name).unlink()


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The model's file and what lies beside it, as they were when their digest was made."""

    entry: ModelFile
    stamps: Fingerprint
    digest: str

    def require_unchanged(self) -> None:
        """Raises `ChangedFileError` where one was written since, or there are others."""
        if _read_stamps(self.entry) != self.stamps:
            raise ChangedFileError(
                f"`{self.entry.path}`, or a file beside it, was written while the run began; begin it again"
            )

    def pack(self) -> PackedModel:
        """The files with their content; raises `InvalidFileError`."""
        root = find_root(self.entry)
        with _naming(self.entry):
            files = {
                str(path.relative_to(root)): np.fromfile(path, np.uint8) for path in _list_files(self.stamps)
            }
        self.require_unchanged()
        return PackedModel(str(self.entry.path.relative_to(root)), files, self.digest)


def read_model_files(path: Path) -> ModelFiles:
    """The files of the model, a piece of them in memory at a time; raises `InvalidFileError`."""
    entry = find_entry(path)
    root, stamps, digest = find_root(entry), _read_stamps(entry), hashlib.sha256()
    with _naming(entry):
        for name, file in sorted((str(file.relative_to(root)), file) for file in _list_files(stamps)):
            digest.update(f"{name}\0{file.stat().st_size}\0".encode("utf-8", "surrogateescape"))
            with file.open("rb") as stream:
                while piece := stream.read(PIECE_BYTES):
                    digest.update(piece)
    return ModelFiles(entry, stamps, digest.hexdigest())


def find_entry(path: Path) -> ModelFile:
    """The file as a server would find it in a models folder, alone or as a version in its model's folder.

    Raises `InvalidFileError` unless it is a file whose name ends in .onnx.
    """
    path = Path(os.path.realpath(path))  # `Path.resolve` raises for a link that leads to itself
    if path.suffix.lower() != SUFFIX or not os.path.isfile(path):
        raise InvalidFileError(f"`{path}` is no file whose name ends in `{SUFFIX}`")
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InvalidFileError(
            f"{str(path)!r} is not UTF-8, as ONNX Runtime needs it; name it otherwise"
        ) from error
    folder = path.parent
    if path.name == MODEL_FILE and VERSION.fullmatch(folder.name) and folder.parent.name:
        return ModelFile(folder.parent.name, folder.name, path)
    return ModelFile(path.stem, "1", path, bare=True)


def find_root(entry: ModelFile) -> Path:
    """The models folder in which a server would find it."""
    return entry.path.parent if entry.bare else entry.path.parents[2]


def _list_files(stamps: Fingerprint) -> list[Path]:
    return [path for path in (Path(stamp[0]) for stamp in stamps) if path.is_file()]


def _read_stamps(entry: ModelFile) -> Fingerprint:
    with _naming(entry):
        return read_fingerprint(entry)


@contextmanager
def _naming(entry: ModelFile) -> Iterator[None]:
    """Errors within the block are `InvalidFileError`s that name the model's file."""
    try:
        yield
    except OSError as error:
        raise InvalidFileError(f"`{entry.path}` cannot be read: {error.strerror}") from error
    except StartupError as error:
        raise InvalidFileError(f"`{entry.path}` cannot be loaded: {error}") from error
