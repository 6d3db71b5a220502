"""IDX, the format of MNIST and Fashion-MNIST: four files in a folder, plain or gzipped.

Source: LeCun et al. 1998, http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import RawDataset, SampleSet, check_bytes, make_dataset, make_sample_set

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"

_UNSIGNED_BYTE = 0x08
_MOST_SQUEEZED = 1032  # bytes that one byte of a deflate stream can stand for at most


def matches(path: Path) -> bool:
    """Whether the folder has the training images."""
    return _find_file(path, TRAIN_IMAGES) is not None


def read(path: Path) -> RawDataset:
    """The four files' content, with images as [n, 1, height, width].

    Raises DataError where one is missing, damaged, or asks for more memory than its size can account for.
    """
    train = _read_set(path, TRAIN_IMAGES, TRAIN_LABELS)
    return make_dataset(path.name, train, _read_set(path, TEST_IMAGES, TEST_LABELS))


def _read_set(folder: Path, images: str, labels: str) -> SampleSet:
    file = _require_file(folder, images)
    pixels = _read_array(file, dimensions=3)
    return make_sample_set(file, pixels[:, None], _read_array(_require_file(folder, labels), dimensions=1))


def _find_file(folder: Path, name: str) -> Path | None:
    """The file by either of the spellings in use, `-idx3` and `.idx3`."""
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = [folder / f"{spelling}{ending}" for spelling in spellings for ending in ("", ".gz")]
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _require_file(folder: Path, name: str) -> Path:
    file = _find_file(folder, name)
    if file is None:
        raise DataError(f"`{folder}` lacks `{name}` (or `{name}.gz`), which belongs to the data set")
    return file


def _read_array(path: Path, dimensions: int) -> NDArray[Any]:
    zipped = path.suffix == ".gz"
    try:
        with gzip.open(path) if zipped else path.open("rb") as stream:
            shape = _parse_shape(path, stream.read(4 + 4 * dimensions), dimensions)
            expected = math.prod(shape)
            check_bytes(path, expected)
            check_bytes(path, expected, path.stat().st_size * (_MOST_SQUEEZED if zipped else 1))
            content = stream.read(expected + 1)
    except (OSError, EOFError) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    if len(content) != expected:
        size = "more" if len(content) > expected else f"{len(content):,}"
        raise DataError(f"`{path}`: expected {expected:,} bytes after the header, got {size}")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _parse_shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    expected = struct.pack(">HBB", 0, _UNSIGNED_BYTE, dimensions)
    if len(header) != 4 + 4 * dimensions or header[:4] != expected:
        raise DataError(
            f"`{path}` is no IDX file of bytes with {dimensions} dimensions: expected it to begin with "
            f"{expected.hex(' ')}, got {header[:4].hex(' ') or 'nothing'}"
        )
    return struct.unpack(f">{dimensions}I", header[4:])
