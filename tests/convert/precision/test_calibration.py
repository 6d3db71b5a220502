import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from convert.errors import UsageError
from convert.model_io.array import Array
from convert.precision import calibration
from convert.precision.calibration import read_calibration, read_labels
from tests.convert.precision.networks import ROWS, as_own_samples, build_network, make_samples


def _save(folder: Path, **arrays: Array) -> Path:
    np.savez(folder / "data.npz", **arrays)  # type: ignore[arg-type]
    return folder / "data.npz"


@pytest.mark.slow
def test_ranges_are_those_of_the_values(tmp_path: Path) -> None:
    model, spec, graph = build_network("rows")
    x = make_samples(spec)
    limits = calibration.measure_ranges(graph, as_own_samples(x))
    assert limits["row"] == (float(x.min()), float(x.max()))
    with torch.no_grad():
        y = model(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(limits["y"], (y.min(), y.max()), rtol=1e-4)


def test_batches_are_counted(tmp_path: Path) -> None:
    _, spec, graph = build_network("rows")
    read = read_calibration(_save(tmp_path, row=make_samples(spec, 150)), [spec])
    counted: list[int] = []
    calibration.measure_ranges(graph, read.sets, counted.append)
    assert counted == [1, 2, 3]
    assert (read.used, read.total) == (150, 150)


def test_more_than_enough_is_thinned_out_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_SAMPLES", 128)
    read = read_calibration(_save(tmp_path, row=make_samples(ROWS, 640)), [ROWS])
    assert (read.used, read.total) == (128, 640)
    assert [record.name for record in read.sets] == ["calibration, 0", "calibration, 320"]


def test_a_few_more_than_enough_are_not_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "MOST_SAMPLES", 320)
    read = read_calibration(_save(tmp_path, row=make_samples(ROWS, 384)), [ROWS])
    assert (read.used, read.total) == (320, 384)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"other": np.zeros((4, 16), np.float32)}, "has no array `row`"),
        ({"row": np.zeros((4, 15), np.float32)}, r"expected float32\[N,16\]"),
        ({"row": np.zeros((4, 16), np.float64)}, "is float64"),
        ({"row": np.zeros((0, 16), np.float32)}, "holds 0 samples"),
        ({"row": np.ones((4, 16), np.float32)}, "holds the same sample 4 times"),
        ({"row": np.full((4, 16), np.nan, np.float32)}, "holds NaN or Inf: 64 numbers, in 4 of 4 samples"),
    ],
)
def test_data_that_are_not_the_models_are_refused(
    tmp_path: Path, arrays: dict[str, Array], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        read_calibration(_save(tmp_path, **arrays), [ROWS])


def test_a_missing_file_is_named_as_the_user_named_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"calibration data `.*gone.npz` cannot be read"):
        read_calibration(tmp_path / "gone.npz", [ROWS])
    with pytest.raises(UsageError, match=r"calibration data `.*` are no file but a folder"):
        read_calibration(tmp_path, [ROWS])


def test_labels_are_read_where_there_are_some(tmp_path: Path) -> None:
    path = _save(tmp_path, row=make_samples(ROWS, 3), labels=np.array([0, 2, 1], np.uint8))
    labels = read_labels(path, [ROWS], 3)
    assert labels is not None
    assert labels.tolist() == [0, 2, 1]
    assert read_labels(_save(tmp_path, row=make_samples(ROWS, 3)), [ROWS], 3) is None


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (np.array([0, 1]), "one for each of 3 samples"),
        (np.array([0.0, 1.0, 2.0]), "one for each of 3 samples"),
        (np.zeros((3, 1), int), "one for each of 3 samples"),
        (np.array([0, -1, 2]), "is -1 for sample 1, expected whole numbers from 0"),
        (np.array([0, 2**64 - 1, 2], np.uint64), "is 18446744073709551615 for sample 1, expected whole"),
    ],
)
def test_labels_of_another_form_are_refused(tmp_path: Path, labels: Array, told: str) -> None:
    path = _save(tmp_path, row=make_samples(ROWS, 3), labels=labels)
    with pytest.raises(UsageError, match=told):
        read_labels(path, [ROWS], 3)


def test_damaged_labels_are_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, row=make_samples(ROWS, 3), labels=np.arange(3))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("labels.npy").header_offset
    content = bytearray(path.read_bytes())
    content[start + 50 : start + 80] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"`labels` in .* cannot be read"):
        read_labels(path, [ROWS], 3)
