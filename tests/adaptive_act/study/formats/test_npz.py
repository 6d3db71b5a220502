import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptive_act.errors import DataError
from adaptive_act.study.formats import read_dataset
from tests.adaptive_act.archives import damage, encrypt

GREY = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
COLOUR_LAST = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), np.uint8)
FEATURES = np.random.default_rng(2).standard_normal((6, 7))
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (GREY, GREY[:, None]),
        (COLOUR_LAST, COLOUR_LAST.transpose(0, 3, 1, 2)),
        (COLOUR_LAST.transpose(0, 3, 1, 2), COLOUR_LAST.transpose(0, 3, 1, 2)),
        (FEATURES, FEATURES.astype(np.float32)),
    ],
)
def test_samples_of_each_layout_are_read(given: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "own.npz", x=given, y=LABELS)
    found = read_dataset(str(tmp_path / "own.npz"))
    assert found.train.samples.dtype == expected.dtype
    assert np.array_equal(found.train.samples, expected)
    assert found.test is None
    assert found.name == "own"


def test_test_samples_are_read_where_they_are_there(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x_train=GREY, y_train=LABELS[:, None], x_test=GREY[:2], y_test=LABELS[:2])
    found = read_dataset(str(tmp_path / "own.npz"))
    assert found.test is not None
    assert np.array_equal(found.test.samples, GREY[:2, None])
    assert np.array_equal(found.train.labels, LABELS)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "other names": ({"a": GREY}, "expected x_train and y_train"),
    "objects": ({"x": np.array([{}] * 6, object), "y": LABELS}, "expected numbers"),
    "floats as labels": ({"x": GREY, "y": LABELS * 1.0}, "whole numbers in float64"),
    "negative labels": ({"x": GREY, "y": LABELS - 1}, "labels from 0"),
    "too few labels": ({"x": GREY, "y": LABELS[:5]}, "expected 6 labels"),
    "one class": ({"x": GREY, "y": LABELS * 0}, "at least 2 classes"),
    "numbers that are none": ({"x": FEATURES * np.nan, "y": LABELS}, "finite"),
    "numbers beyond float32": ({"x": FEATURES * 1e300, "y": LABELS}, "finite"),
    "one dimension": ({"x": LABELS, "y": LABELS}, "2, 3 or 4 dimensions"),
    "no samples": ({"x": GREY[:0], "y": LABELS[:0]}, "dimensions"),
    "test of another size": (
        {"x_train": GREY, "y_train": LABELS, "x_test": GREY[:, 1:], "y_test": LABELS},
        "one shape",
    ),
}


@pytest.mark.parametrize(("arrays", "words"), REFUSED.values(), ids=REFUSED)
def test_arrays_that_cannot_be_meant_are_refused(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", allow_pickle=True, **arrays)
    with pytest.raises(DataError, match=words):
        read_dataset(str(tmp_path / "own.npz"))


def test_an_oversized_header_is_refused_before_allocation(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 28, 28)}
    )
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.writestr("y.npy", header.getvalue())
    with pytest.raises(DataError, match="asks for"):
        read_dataset(str(tmp_path / "own.npz"))


def test_a_damaged_or_an_encrypted_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.npz"
    for spoil in (damage, encrypt):
        np.savez_compressed(path, x=FEATURES, y=LABELS)
        spoil(path)
        with pytest.raises(DataError, match=r"own\.npz` cannot be read"):
            read_dataset(str(path))


@pytest.mark.parametrize("ending", ["", ".txt"])
def test_files_in_it_that_are_no_arrays_do_not_count(ending: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.npz", "w") as archive:
        archive.writestr(f"x{ending}", b"text")
        archive.writestr(f"y{ending}", b"text")
    with pytest.raises(DataError, match=r"expected x_train and y_train, or x and y; got \[\]"):
        read_dataset(str(tmp_path / "own.npz"))


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"own\.npz"):
        read_dataset(str(tmp_path / "own.npz"))
