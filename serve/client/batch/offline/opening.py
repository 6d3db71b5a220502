"""The sources that a file or a folder holds."""

from collections.abc import Callable, Mapping
from pathlib import Path

from serve.client.batch.offline.arrays import open_arrays
from serve.client.batch.offline.images import open_images
from serve.client.batch.offline.lines import open_csv_table, open_json_lines
from serve.client.batch.offline.parquet import open_parquet
from serve.client.batch.offline.shards import Source
from serve.client.batch.rows import IMAGE_SUFFIXES
from serve.client.errors import InvalidFileError
from serve.protocol.descriptions import ModelMetadata

OPENERS: Mapping[str, Callable[[Path, ModelMetadata], Source]] = {
    ".csv": open_csv_table,
    ".npz": open_arrays,
    ".jsonl": open_json_lines,
    ".ndjson": open_json_lines,
    ".parquet": open_parquet,
}


def open_sources(path: Path, model: ModelMetadata) -> list[Source]:
    """The file, the images of the folder, or its other files by their names; raises `InvalidFileError`."""
    path = path.absolute()  # as other machines have it, whatever their working folder is
    if not path.is_dir():
        return [_open_file(path, model)]
    try:
        files = sorted(file for file in path.iterdir() if not file.name.startswith((".", "_")))
    except OSError as error:
        raise InvalidFileError(f"`{path}` cannot be read: {error.strerror}") from error
    images = [file.name for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        return [open_images(path, images, model)]
    kinds = {file.suffix.lower() for file in files} & OPENERS.keys()
    if len(kinds) != 1:
        raise InvalidFileError(
            f"`{path}` holds {'no image, and no' if not kinds else 'different kinds of'} files that end in "
            f"{', '.join(sorted(kinds or OPENERS))}; expected files of one kind"
        )
    return [_open_file(file, model) for file in files if file.suffix.lower() in kinds]


def _open_file(path: Path, model: ModelMetadata) -> Source:
    opener = OPENERS.get(path.suffix.lower())
    if opener is None:
        raise InvalidFileError(
            f"`{path}` is neither a folder nor a file that ends in {', '.join(OPENERS)}: the input's form"
        )
    return opener(path, model)
