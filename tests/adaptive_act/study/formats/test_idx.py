import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adaptive_act.errors import DataError
from adaptive_act.study.formats import idx, read_dataset

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 5), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.uint8)


def packed(array: np.ndarray) -> bytes:
    return (
        struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, array in (
        (idx.TRAIN_IMAGES, IMAGES),
        (idx.TRAIN_LABELS, LABELS),
        (idx.TEST_IMAGES, IMAGES[:3]),
        (idx.TEST_LABELS, LABELS[:3]),
    ):
        (tmp_path / name).write_bytes(packed(array))
    return tmp_path


def zipped(path: Path, content: bytes) -> None:
    path.unlink()
    (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(content))


def dotted(path: Path, content: bytes) -> None:
    path.rename(path.with_name(path.name.replace("-idx", ".idx")))


@pytest.mark.parametrize("spelled", [lambda path, content: None, zipped, dotted])
def test_a_folder_is_read_in_each_spelling(folder: Path, spelled: Callable[[Path, bytes], None]) -> None:
    for path in list(folder.iterdir()):
        spelled(path, path.read_bytes())
    found = read_dataset(str(folder))
    assert np.array_equal(found.train.samples, IMAGES[:, None])
    assert np.array_equal(found.train.labels, LABELS)
    assert found.test is not None
    assert np.array_equal(found.test.samples, IMAGES[:3, None])
    assert found.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "got nothing"),
        (b"PK\x03\x04" + b"\0" * 40, "no IDX file"),
        (packed(IMAGES)[:-1], "expected 120 bytes"),
        (packed(IMAGES) + b"x", "got more"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "at most"),
        (struct.pack(">HBB3I", 0, 8, 3, 60000, 28, 28), "at most"),
        (packed(IMAGES[:5]), "5 labels"),
    ],
)
def test_a_damaged_or_lying_file_is_refused_by_name(folder: Path, content: bytes, words: str) -> None:
    (folder / idx.TRAIN_IMAGES).write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_dataset(str(folder))
    assert idx.TRAIN_IMAGES in str(caught.value)


def test_a_gzip_beyond_deflates_ratio_is_refused(folder: Path) -> None:
    (folder / idx.TRAIN_IMAGES).unlink()
    lying = struct.pack(">HBB3I", 0, 8, 3, 60000, 28, 28)
    (folder / f"{idx.TRAIN_IMAGES}.gz").write_bytes(gzip.compress(lying))
    with pytest.raises(DataError, match="at most"):
        read_dataset(str(folder))


def test_a_missing_companion_is_named(folder: Path) -> None:
    (folder / idx.TEST_LABELS).unlink()
    with pytest.raises(DataError, match=idx.TEST_LABELS):
        read_dataset(str(folder))
