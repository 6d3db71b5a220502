"""A data set as read from files, and the checks that all formats share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaptive_act.errors import DataError

LARGEST_BYTES = 2 * 2**30
"""The most memory that one file may require."""
MOST_CLASSES = 10_000

Samples = NDArray[np.uint8] | NDArray[np.float32]
Labels = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SampleSet:
    """Samples [n, channels, height, width] or [n, features], and labels [n] from 0, or numbers to predict."""

    samples: Samples
    labels: Labels


@dataclass(frozen=True, slots=True)
class RawDataset:
    """A data set as its files hold it; `test` is None where they keep no samples apart.

    Without classes, its labels are numbers to predict.
    """

    name: str
    train: SampleSet
    test: SampleSet | None
    classes: tuple[str, ...]


def check_bytes(path: Path, asked: int, allowed: int = LARGEST_BYTES) -> None:
    """Raises DataError where `path` asks for more memory than `allowed`, before it is allocated."""
    if asked > allowed:
        raise DataError(f"`{path}` asks for {asked:,} bytes, expected at most {allowed:,}")


def make_sample_set(path: Path, samples: Samples, labels: NDArray[Any]) -> SampleSet:
    """Samples and labels that fit each other; raises DataError naming `path` where they do not."""
    _check_count(path, samples, labels)
    if labels.dtype.kind not in "iu":
        raise DataError(f"`{path}`: expected whole numbers as labels, got {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MOST_CLASSES:
        raise DataError(f"`{path}`: expected labels from 0 to {MOST_CLASSES - 1}, got {low} to {high}")
    return SampleSet(samples, labels.astype(np.int64))


def make_number_set(path: Path, samples: Samples, numbers: NDArray[Any]) -> SampleSet:
    """Samples and the numbers to predict; raises DataError naming `path` where they do not fit each other."""
    _check_count(path, samples, numbers)
    wide = numbers.astype(np.float64)
    if not (np.abs(wide) <= np.finfo(np.float32).max).all():
        raise DataError(f"`{path}`: expected numbers to predict that are finite in float32, got others")
    return SampleSet(samples, wide)


def make_dataset(
    name: str, train: SampleSet, test: SampleSet | None, classes: tuple[str, ...] | None = None
) -> RawDataset:
    """The data set; classes without names are called by their numbers.

    Raises DataError where training and test samples differ in shape, or there is only one class.
    """
    _check_shapes(name, train, test)
    known = max(int(samples.labels.max()) for samples in (train, test) if samples is not None) + 1
    if classes is None:
        classes = tuple(map(str, range(known)))
    if len(classes) < 2 or known > len(classes):
        raise DataError(f"`{name}`: expected at least 2 classes and labels below, got {known} of {classes}")
    return RawDataset(name, train, test, classes)


def make_number_dataset(name: str, train: SampleSet, test: SampleSet | None) -> RawDataset:
    """The data set; raises DataError where training and test samples differ in shape."""
    _check_shapes(name, train, test)
    return RawDataset(name, train, test, ())


def _check_count(path: Path, samples: Samples, labels: NDArray[Any]) -> None:
    if len(samples) == 0:
        raise DataError(f"`{path}` holds no samples, expected at least one")
    if labels.shape != (len(samples),):
        raise DataError(f"`{path}`: expected {len(samples)} labels, got an array of shape {labels.shape}")


def _check_shapes(name: str, train: SampleSet, test: SampleSet | None) -> None:
    if test is not None and test.samples.shape[1:] != train.samples.shape[1:]:
        shapes = f"{list(train.samples.shape[1:])} in training, {list(test.samples.shape[1:])} in test"
        raise DataError(f"`{name}`: expected samples of one shape, got {shapes}")
