"""The rows of an .npz or .csv file, or the images of a folder, as a model's inputs."""

import csv
import hashlib
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError

import numpy as np

from serve.client.batch.columns import assign_columns, cast_to_input, list_names, parse_rows
from serve.client.errors import (
    ChangedFileError,
    ClientError,
    InvalidFileError,
    InvalidInputError,
    InvalidReplyError,
)
from serve.client.replies import Json, Predictions
from serve.client.synchronous import Client
from serve.client.tensors import array_from_json
from serve.engine.datatypes import BFLOAT16, BY_NAME
from serve.engine.errors import MalformedRequestError
from serve.engine.signature import Array
from serve.protocol.descriptions import ModelMetadata, TensorMetadata

NO_FILE = "is a pipe or a device, which cannot be read twice; save it as a file"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
INSTANCE = re.compile(r"`instances\[([0-9]{1,9})\]`")
# The errors for a broken archive, such as one that is encrypted or packed by an unknown method, or whose
# arrays have nonsense in the place of their headers.
UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error),
    *(SyntaxError, TokenError),
)


@dataclass(frozen=True, slots=True)
class TensorRows:
    """The rows of arrays, one array an input; two files have different fingerprints."""

    model: ModelMetadata
    arrays: Mapping[str, Array]
    outputs: Sequence[str]
    fingerprint: str

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def ask(self, client: Client, version: str | None, start: int, stop: int) -> dict[str, Array]:
        """The model's outputs for these rows."""
        batch = {name: array[start:stop] for name, array in self.arrays.items()}
        return dict(client.infer(self.model.name, batch, version=version, outputs=self.outputs).outputs)


def read_tensor_rows(path: Path, model: ModelMetadata, outputs: Sequence[str]) -> TensorRows:
    """The rows of the file, at least one; raises `InvalidFileError`."""
    if not model.inputs:
        raise InvalidFileError(f"model `{model.name}` has no inputs, so there is nothing to send")
    arrays = read_csv(path, model) if path.suffix.lower() == ".csv" else read_npz(path, model)
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        raise InvalidFileError(f"`{path}` has no row, or not as many for each input: {lengths}")
    with path.open("rb") as stream:
        fingerprint = hashlib.file_digest(stream, "sha256").hexdigest()
    return TensorRows(model, arrays, outputs, fingerprint)


def read_npz(path: Path, model: ModelMetadata) -> dict[str, Array]:
    """An array for each input by its name; one array alone is that of a model with one input."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays: dict[str, Array] = {name: archive[name] for name in archive.files}
    except UNREADABLE as error:
        raise InvalidFileError(f"`{path}` cannot be read as an .npz file: {error}") from error
    names = [spec.name for spec in model.inputs]
    if len(arrays) == len(names) == 1:
        arrays = {names[0]: next(iter(arrays.values()))}
    if set(arrays) != set(names):
        raise InvalidFileError(
            f"`{path}` holds the arrays {list_names(sorted(arrays))}, model `{model.name}` takes "
            f"{list_names(names)}"
        )
    return {spec.name: cast_to_input(spec, arrays[spec.name]) for spec in model.inputs}


def read_csv(path: Path, model: ModelMetadata) -> dict[str, Array]:
    """The columns of each input; the first line names them."""
    header, rows = read_table(path)
    columns = assign_columns(header, model)
    return {
        spec.name: parse_rows(
            spec,
            [[row[position] for position in columns[spec.name]] for row in rows],
            [header[position] for position in columns[spec.name]],
        )
        for spec in model.inputs
    }


def read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the rows, at least one; raises `InvalidFileError`."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            header, *rows = [row for row in csv.reader(stream) if row] or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise InvalidFileError(f"`{path}` cannot be read as a table with a header: {error}") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InvalidFileError(f"`{path}`: row {number} has {len(row)} values, the header {len(header)}")
    check_header(path, header)
    if not rows:
        raise InvalidFileError(f"`{path}` has no row below its header")
    return header, rows


def check_header(path: Path, header: Sequence[str]) -> None:
    """Raises `InvalidFileError` unless the first line of the table names columns."""
    if not header:
        raise InvalidFileError(f"`{path}` is empty, expected the names of the columns in its first line")
    if all(map(_is_number, header)):
        raise InvalidFileError(f"`{path}`: the first line holds numbers, expected the names of the columns")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Images by their files, in the order of their names."""

    model: ModelMetadata
    paths: Sequence[Path]
    files: Sequence[str]
    """What `describe_file` says of each."""

    @property
    def fingerprint(self) -> str:
        """The digest of the files' names, sizes and times."""
        return hashlib.sha256("\n".join(self.files).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.paths)

    def ask(self, client: Client, version: str | None, start: int, stop: int) -> dict[str, Array]:
        """The outputs for these images, after `file`, and `label` where the model names its classes."""
        paths, files = self.paths[start:stop], self.files[start:stop]
        images = [_read_file(path, file) for path, file in zip(paths, files, strict=True)]
        try:
            reply = client.predict(self.model.name, images, version)
        except InvalidInputError as error:
            raise _name_files(error, paths) from None
        return {"file": make_texts([path.name for path in paths]), **read_answers(self.model, reply)}


def read_answers(model: ModelMetadata, reply: Predictions) -> dict[str, Array]:
    """`label` where the model names its classes, then its outputs; raises `InvalidReplyError`."""
    answers: dict[str, Array] = {"label": make_texts(reply.labels)} if reply.labels else {}
    is_only = len(model.outputs) == 1
    for spec in model.outputs:
        answers[spec.name] = _read_output(spec, reply.predictions, is_only)
    return answers


def make_texts(texts: Sequence[str]) -> Array:
    """The texts as an array."""
    return np.array(list(texts), np.object_)


def read_image_rows(folder: Path, model: ModelMetadata) -> ImageRows:
    """The images in the folder, at least one; raises `InvalidFileError`."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise InvalidFileError(f"`{folder}` cannot be read: {error.strerror}") from error
    if not paths:
        raise InvalidFileError(f"`{folder}` holds no image: no file that ends in {', '.join(IMAGE_SUFFIXES)}")
    return ImageRows(model, paths, [describe_file(path) for path in paths])


def describe_file(path: Path) -> str:
    """The file's name, size and time, for the fingerprint."""
    try:
        path.name.encode()
        stat = path.stat()
    except UnicodeError as error:
        raise InvalidFileError(f"the name of {str(path)!r} is not UTF-8, as a result needs it") from error
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def _name_files(error: InvalidInputError, paths: Sequence[Path]) -> ClientError:
    """The server's words with the files' names in place of `instances[0]` and the like."""

    def name_file(match: re.Match[str]) -> str:
        index = int(match[1])
        return f"`{paths[index]}`" if index < len(paths) else match[0]

    text, count = INSTANCE.subn(name_file, str(error))
    return InvalidFileError(text, error.status) if count else error


def _read_file(path: Path, described: str) -> bytes:
    if describe_file(path) != described:
        raise ChangedFileError(f"`{path}` is not what it was when the run began; begin anew with `--restart`")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error


def _read_output(spec: TensorMetadata, predictions: Sequence[Json], is_only: bool) -> Array:
    datatype = BY_NAME.get(spec.datatype)
    if datatype is None or datatype.dtype == BFLOAT16:
        raise InvalidReplyError(f"output `{spec.name}` is of `{spec.datatype}`, which JSON cannot carry")
    values = [
        value if is_only or not isinstance(value, dict) else value.get(spec.name) for value in predictions
    ]
    try:
        return array_from_json(values, datatype)
    except MalformedRequestError as error:
        raise InvalidReplyError(f"output `{spec.name}` of the reply is no array: {error}") from error
