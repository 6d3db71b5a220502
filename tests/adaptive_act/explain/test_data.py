"""Samples from a file."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaptive_act import TensorSpec
from adaptive_act.errors import ExplainError
from adaptive_act.explain import data
from adaptive_act.explain.data import read_data
from tests.adaptive_act.archives import damage, encrypt

IMAGE = TensorSpec("image", "float32", (None, 1, 2, 2))
MASK = TensorSpec("mask", "int64", (None, None))


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def test_samples_are_batched_in_input_order_and_dtype(tmp_path: Path) -> None:
    images, masks, labels = np.random.rand(5, 1, 2, 2), np.arange(15).reshape(5, 3), np.arange(5)
    path = written(tmp_path / "data.npz", mask=masks, image=images, labels=labels)
    found = read_data(path, (IMAGE, MASK), batch=2)
    assert [len(batch[0]) for batch in found.batches] == [2, 2, 1]
    first = torch.cat([batch[0] for batch in found.batches])
    torch.testing.assert_close(first, torch.from_numpy(images).float(), rtol=0, atol=0)
    assert found.batches[0][1].dtype is torch.int64
    assert torch.cat([labels for _, labels in found.labelled]).tolist() == [0, 1, 2, 3, 4]


def test_labels_may_be_missing(tmp_path: Path) -> None:
    found = read_data(written(tmp_path / "data.npz", image=np.zeros((3, 1, 2, 2))), (IMAGE,))
    assert found.labels is None
    assert found.labelled == []


FITTING = np.zeros((3, 1, 2, 2))
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an input is missing": ({"x": np.zeros(3)}, "has no array `image`: .* got x"),
    "a size differs": ({"image": np.zeros((3, 1, 2, 5))}, r"float64 \[3, 1, 2, 5\], .* \['any', 1, 2, 2\]"),
    "a dimension is missing": ({"image": np.zeros((3, 2, 2))}, r"is float64 \[3, 2, 2\]"),
    "words": ({"image": np.full((3, 1, 2, 2), "x")}, "expected numbers"),
    "fewer labels": ({"image": FITTING, "labels": np.zeros(2, int)}, "'image': 3, 'labels': 2"),
    "one label": (
        {"image": FITTING, "labels": np.zeros((), int)},
        r"`labels` is int64 \[\], expected one number",
    ),
    "words as labels": ({"image": FITTING, "labels": np.array(["a"] * 3)}, r"`labels` is <U1 \[3\]"),
    "nothing in it": ({"image": FITTING[:0]}, "'image': 0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused(case: str, tmp_path: Path) -> None:
    arrays, message = WRONG[case]
    with pytest.raises(ExplainError, match=message):
        read_data(written(tmp_path / "data.npz", **arrays), (IMAGE,))


@pytest.mark.parametrize("kind", [">f4", ">i2", "g", "f2"])
def test_numbers_of_any_kind_are_read(kind: str, tmp_path: Path) -> None:
    numbers = np.arange(12).reshape(3, 1, 2, 2).astype(kind)
    read = read_data(
        written(tmp_path / "data.npz", image=numbers, labels=np.arange(3, dtype=">i4")), (IMAGE,)
    )
    assert read.batches[0][0].flatten().tolist() == list(range(12))
    assert read.labelled[0][1].tolist() == [0, 1, 2]


def test_what_would_unpack_to_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "LARGEST", 10_000)
    np.savez_compressed(tmp_path / "data.npz", image=np.zeros((1000, 1, 2, 2)))
    with pytest.raises(ExplainError, match="it unpacks to 32128 bytes, expected at most 10000"):
        read_data(tmp_path / "data.npz", (IMAGE,))


def test_a_damaged_or_an_encrypted_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    for spoil in (damage, encrypt):
        np.savez_compressed(path, image=np.random.default_rng(0).random((99, 1, 2, 2)))
        spoil(path)
        with pytest.raises(ExplainError, match=r"cannot be read as a \.npz file"):
            read_data(path, (IMAGE,))


def test_a_file_in_it_that_is_no_array_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as archive:
        archive.writestr("image", b"text")
    with pytest.raises(ExplainError, match="has no array `image`"):
        read_data(tmp_path / "data.npz", (IMAGE,))


def test_python_objects_are_never_read(tmp_path: Path) -> None:
    path = written(tmp_path / "data.npz", image=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ExplainError, match=r"cannot be read as a \.npz file: .*allow_pickle"):
        read_data(path, (IMAGE,))


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    path.write_bytes(buffer.getvalue())
    with pytest.raises(ExplainError, match=r"cannot be read as a \.npz file"):
        read_data(path, (IMAGE,))


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_another_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(ExplainError, match=r"cannot be read as a \.npz file"):
        read_data(path, (IMAGE,))
