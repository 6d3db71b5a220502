"""The images of a folder as a model's input; the server decodes them by what the model's file says."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serve.client.errors import ClientError, InvalidFileError, InvalidInputError, InvalidReplyError
from serve.client.fields import Json
from serve.client.replies import ModelMetadata, TensorMetadata
from serve.client.synchronous import Client
from serve.client.tensors import from_json
from serve.engine.datatypes import BFLOAT16, BY_NAME
from serve.engine.errors import MalformedRequestError
from serve.engine.signature import Array

SUFFIXES = (".png", ".jpg", ".jpeg")
INSTANCE = re.compile(r"`instances\[([0-9]{1,9})\]`")


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
        try:
            said = client.predict(self.model.name, [_read(path) for path in paths], version)
        except InvalidInputError as error:
            raise _with_files(error, paths) from None
        answers: dict[str, Array] = {"file": _texts([path.name for path in paths])}
        if said.labels:
            answers["label"] = _texts(said.labels)
        alone = len(self.model.outputs) == 1
        for spec in self.model.outputs:
            answers[spec.name] = _output(spec, said.predictions, alone)
        return answers


def read_image_rows(folder: Path, model: ModelMetadata) -> ImageRows:
    """The images in the folder, of which there is one at least; raises `InvalidFileError`."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise InvalidFileError(f"`{folder}` cannot be read: {error.strerror}") from error
    if not paths:
        raise InvalidFileError(f"`{folder}` holds no image: no file that ends in {', '.join(SUFFIXES)}")
    text = "\n".join(map(_mark, paths))
    return ImageRows(model, paths, hashlib.sha256(text.encode()).hexdigest())


def _mark(path: Path) -> str:
    """What is another for another file of the name."""
    try:
        path.name.encode()
        stat = path.stat()
    except UnicodeError as error:
        raise InvalidFileError(f"the name of {str(path)!r} is not UTF-8, as a result needs it") from error
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def _with_files(error: InvalidInputError, paths: Sequence[Path]) -> ClientError:
    """The server's words with the files' names in place of `instances[0]` and the like."""

    def file(found: re.Match[str]) -> str:
        place = int(found[1])
        return f"`{paths[place]}`" if place < len(paths) else found[0]

    words, named = INSTANCE.subn(file, str(error))
    return InvalidFileError(words, error.status) if named else error


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
        return from_json(values, datatype)
    except MalformedRequestError as error:
        raise InvalidReplyError(f"output `{spec.name}` of the reply is no array: {error}") from error


def _texts(texts: Sequence[str]) -> Array:
    return np.array(list(texts), np.object_)
