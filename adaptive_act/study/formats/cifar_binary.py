"""CIFAR-10's binary version: records of one label and 3x32x32 pixels.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

from pathlib import Path

import numpy as np

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import RawDataset, SampleSet, check_bytes, make_dataset, make_sample_set

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"

_RECORD = 1 + 3 * 32 * 32  # bytes


def matches(path: Path) -> bool:
    """Whether the folder has a batch of the binary version."""
    return (path / f"{BATCHES[0]}.bin").is_file()


def read(path: Path) -> RawDataset:
    """The training batches that are there, joined, and the test batch.

    Raises DataError where the test batch is missing or a file does not consist of whole records.
    """
    train = join_batches(
        path, [_read_batch(file) for name in BATCHES if (file := path / f"{name}.bin").is_file()]
    )
    test = path / f"{TEST}.bin"
    if not test.is_file():
        raise DataError(f"`{path}` lacks `{test.name}`, which belongs to the data set")
    return make_dataset(path.name, train, _read_batch(test), CLASSES)


def join_batches(path: Path, parts: list[SampleSet]) -> SampleSet:
    """Batches one after another."""
    samples = np.concatenate([batch.samples for batch in parts])
    return make_sample_set(path, samples, np.concatenate([batch.labels for batch in parts]))


def _read_batch(path: Path) -> SampleSet:
    size = path.stat().st_size
    check_bytes(path, size)
    if size == 0 or size % _RECORD:
        raise DataError(f"`{path}`: expected whole records of {_RECORD} bytes, got {size:,} bytes")
    records = np.fromfile(path, np.uint8).reshape(-1, _RECORD)
    return make_sample_set(path, np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE), records[:, 0])
