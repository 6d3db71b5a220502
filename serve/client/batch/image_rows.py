"""The images of a folder as a model's input; the server decodes them by what the model's file says."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve.client.errors import InvalidFileError, InvalidReplyError
from serve.client.fields import Json
from serve.client.replies import ModelMetadata, TensorMetadata
from serve.client.synchronous import Client
from serve.engine.datatypes import BFLOAT16, BY_NAME
from serve.engine.signature import Array

SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Images by their files, in the order of their names."""

    model: ModelMetadata
    paths: Sequence[Path]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.paths)

    def ask(self, client: Client, version: str | None, start: int, stop: int) -> dict[str, Array]:
        """The outputs for these images, after `file`, and `label` where the model names its classes."""
        paths = self.paths[start:stop]
        said = client.predict(self.model.name, [_read(path) for path in paths], version)
        answers: dict[str, Array] = {"file": _texts([path.name for path in paths])}
        if said.labels:
            answers["label"] = _texts(said.labels)
        alone = len(self.model.outputs) == 1
        for spec in self.model.outputs:
            answers[spec.name] = _output(spec, said.predictions, alone)
        return answers


def read_image_rows(folder: Path, model: ModelMetadata) -> ImageRows:
    """The images in the folder, of which there is one at least; raises `InvalidFileError`."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidFileError(f"`{folder}` holds no image: no file that ends in {', '.join(SUFFIXES)}")
    marks = [(path.name, path.stat()) for path in paths]
    text = "\n".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in marks)
    return ImageRows(model, paths, hashlib.sha256(text.encode()).hexdigest())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error


def _output(spec: TensorMetadata, predictions: Sequence[Json], alone: bool) -> Array:
    datatype = BY_NAME.get(spec.datatype)
    if datatype is None or datatype.dtype == BFLOAT16:
        raise InvalidReplyError(f"output `{spec.name}` is of `{spec.datatype}`, which JSON cannot carry")
    values = [each if alone or not isinstance(each, dict) else each.get(spec.name) for each in predictions]
    try:
        return np.array(values, datatype.dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidReplyError(f"output `{spec.name}` of the reply is no array: {error}") from error


def _texts(texts: Sequence[str]) -> Array:
    return np.array(list(texts), np.object_)
