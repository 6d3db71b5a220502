"""CIFAR-10's binary version: records of one label and 3x32x32 pixels.

Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html
"""

from pathlib import Path

import numpy as np

from adaptive_act.errors import DataError
from adaptive_act.study.formats.raw import Part, Raw, check_bytes, part, raw

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (3, 32, 32)
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = "test_batch"

_RECORD = 1 + 3 * 32 * 32  # bytes


def holds(path: Path) -> bool:
    """Whether the folder has a batch of the binary version."""
    return (path / f"{BATCHES[0]}.bin").is_file()


def read(path: Path) -> Raw:
    """The training batches that are there, joined, and the test batch.

    Raises DataError where the test batch is missing or a file does not consist of whole records.
    """
    train = joined(path, [_batch(file) for name in BATCHES if (file := path / f"{name}.bin").is_file()])
    test = path / f"{TEST}.bin"
    if not test.is_file():
        raise DataError(f"`{path}` lacks `{test.name}`, which belongs to the data set")
    return raw(path.name, train, _batch(test), CLASSES)


def joined(path: Path, parts: list[Part]) -> Part:
    """Batches one after another."""
    samples = np.concatenate([each.samples for each in parts])
    return part(path, samples, np.concatenate([each.labels for each in parts]))


def _batch(path: Path) -> Part:
    size = path.stat().st_size
    check_bytes(path, size)
    if size == 0 or size % _RECORD:
        raise DataError(f"`{path}`: expected whole records of {_RECORD} bytes, got {size:,} bytes")
    records = np.fromfile(path, np.uint8).reshape(-1, _RECORD)
    return part(path, np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE), records[:, 0])
