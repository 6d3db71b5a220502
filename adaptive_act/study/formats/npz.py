"""An .npz file of the user's own: arrays by name, never pickled ones."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import (
    RawDataset,
    Samples,
    SampleSet,
    check_bytes,
    make_dataset,
    make_sample_set,
)

_KEYS = (("x_train", "y_train", "x_test", "y_test"), ("x", "y", None, None))
_CHANNELS = (1, 3, 4)


def matches(path: Path) -> bool:
    """Whether it is an .npz file."""
    return path.is_file() and path.suffix == ".npz"


def read(path: Path) -> RawDataset:
    """Arrays `x_train`, `y_train` and, where they are there, `x_test`, `y_test`; or `x`, `y`.

    Samples are [n, features], [n, height, width], [n, channels, height, width] or the same with channels
    last; bytes are images from 0 to 255, floating-point numbers are taken as they are.
    Raises DataError where an array is missing, pickled, of another kind, or larger than it may be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {Path(entry.filename).stem for entry in archive.infolist()}
            check_bytes(path, sum(entry.file_size for entry in archive.infolist()))
            keys = next((keys for keys in _KEYS if set(keys[:2]) <= names), None)
            if keys is None:
                raise DataError(f"`{path}`: expected x_train and y_train, or x and y; got {sorted(names)}")
            train = _read_set(path, archive, keys[0], keys[1])
            test = _read_set(path, archive, keys[2], keys[3]) if {*keys[2:]} <= names else None
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    return make_dataset(path.stem, train, test)


def _read_set(path: Path, archive: zipfile.ZipFile, samples: str | None, labels: str | None) -> SampleSet:
    return make_sample_set(
        path,
        _check_samples(path, _read_array(path, archive, samples)),
        _read_array(path, archive, labels).reshape(-1),
    )


def _read_array(path: Path, archive: zipfile.ZipFile, name: str | None) -> NDArray[Any]:
    """The array, read only if its header asks for no more bytes than the entry holds."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"`{path}`: `{name}` has npy version {version}, expected 1.0 or 2.0")
        header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = header(stream)
    if dtype.kind not in "uif" or dtype.hasobject:
        raise DataError(f"`{path}`: expected numbers in `{name}`, got {dtype}")
    asked = dtype.itemsize
    for size in shape:
        asked *= size
    check_bytes(path, asked, entry.file_size)
    with archive.open(entry) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _check_samples(path: Path, samples: NDArray[Any]) -> Samples:
    if samples.ndim not in (2, 3, 4) or 0 in samples.shape:
        raise DataError(f"`{path}`: expected samples with 2, 3 or 4 dimensions, got {list(samples.shape)}")
    if samples.ndim == 3:
        samples = samples[:, None]
    elif samples.ndim == 4 and samples.shape[1] not in _CHANNELS and samples.shape[3] in _CHANNELS:
        samples = np.moveaxis(samples, 3, 1)
    if samples.dtype == np.uint8:
        return np.ascontiguousarray(samples)
    numbers = np.ascontiguousarray(samples, np.float32)
    if not np.isfinite(numbers).all():
        raise DataError(f"`{path}`: expected finite samples, got NaN or infinite ones")
    return numbers
