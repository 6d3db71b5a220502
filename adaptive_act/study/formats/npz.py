"""An .npz file of the user's own: arrays by name, never pickled ones."""

import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
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
    make_number_dataset,
    make_number_set,
    make_sample_set,
)
from adaptive_act.study.specs import TaskName

_KEYS = (("x_train", "y_train", "x_test", "y_test"), ("x", "y"))
_CHANNELS = (1, 3, 4)
_ENDING = ".npy"
# What is raised on a file that is damaged, or encrypted, which is a RuntimeError.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def matches(path: Path) -> bool:
    """Whether it is an .npz file."""
    return path.is_file() and path.suffix == ".npz"


def read(path: Path, task: TaskName | None = None) -> RawDataset:
    """Arrays `x_train`, `y_train` and, where they are there, `x_test`, `y_test`; or `x`, `y`.

    Samples are [n, features], [n, height, width], [n, channels, height, width] or the same with channels
    last; bytes are images from 0 to 255, floating-point numbers are taken as they are. Without a task, whole
    numbers in `y` are classes and floating-point ones are to be predicted. Raises DataError where an array is
    missing, pickled, of another kind, or larger than it may be.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(_ENDING) for name in archive.namelist() if name.endswith(_ENDING)}
            check_bytes(path, sum(entry.file_size for entry in archive.infolist()))
            keys = next((keys for keys in _KEYS if set(keys[:2]) <= names), None)
            if keys is None:
                raise DataError(f"`{path}`: expected x_train and y_train, or x and y; got {sorted(names)}")
            arrays = {name: _read_array(path, archive, name) for name in keys if name in names}
    except _UNREADABLE as error:
        raise DataError(f"`{path}` cannot be read: {error}") from error
    if (task or _guess_task(path, arrays[keys[1]])) == "regression":
        return make_number_dataset(path.stem, *_make_sets(path, arrays, keys, make_number_set))
    return make_dataset(path.stem, *_make_sets(path, arrays, keys, _make_class_set))


def _guess_task(path: Path, labels: NDArray[Any]) -> TaskName:
    if labels.dtype.kind in "iu":
        return "classification"
    if labels.size and _are_whole(labels):
        raise DataError(
            f"`{path}`: the labels are whole numbers in {labels.dtype}, which may be classes or numbers to "
            "predict: say `--task classification` or `--task regression`"
        )
    return "regression"


def _make_sets(
    path: Path,
    arrays: Mapping[str, NDArray[Any]],
    keys: Sequence[str],
    make_set: Callable[[Path, Samples, NDArray[Any]], SampleSet],
) -> tuple[SampleSet, SampleSet | None]:
    train, *test = [
        make_set(path, _check_samples(path, arrays[samples]), arrays[labels].reshape(-1))
        for samples, labels in zip(keys[::2], keys[1::2], strict=True)
        if {samples, labels} <= arrays.keys()
    ]
    return train, test[0] if test else None


def _make_class_set(path: Path, samples: Samples, labels: NDArray[Any]) -> SampleSet:
    return make_sample_set(path, samples, labels.astype(np.int64) if _are_whole(labels) else labels)


def _are_whole(labels: NDArray[Any]) -> bool:
    return bool(((labels == np.round(labels)) & (np.abs(labels) < 2**53)).all())


def _read_array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """The array, read only if its header asks for no more bytes than the entry holds."""
    entry = archive.getinfo(f"{name}{_ENDING}")
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
    with np.errstate(over="ignore"):  # to infinities, which are refused
        numbers = np.ascontiguousarray(samples, np.float32)
    if not np.isfinite(numbers).all():
        raise DataError(f"`{path}`: expected finite samples, got NaN or infinite ones")
    return numbers
