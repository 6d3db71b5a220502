from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx.parser import parse_model

from convert.errors import UsageError
from convert.evidence.file_baseline import measure_baseline
from convert.evidence.inspection import OnnxFile, read_onnx_file
from convert.manifest.baseline import BaselineRecord, SeriesRecord
from convert.model_io.array import Array
from tests.convert.manifest.test_manifest import MANIFEST

TEXT = """<ir_version: 10, opset_import: ["": 20]> net (float[N, 2] x) => (float[N, 2] y)
    { inner = Add(x, x) y = Abs(inner) }"""


@pytest.fixture
def file(tmp_path: Path) -> OnnxFile:
    """A file that others exported."""
    path = tmp_path / "net.onnx"
    path.write_bytes(parse_model(TEXT).SerializeToString())
    return read_onnx_file(path)


def _write_samples(folder: Path, rows: int = 200) -> Path:
    path = folder / "samples.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32))
    return path


def test_a_file_of_others_has_inputs_and_outputs(file: OnnxFile, tmp_path: Path) -> None:
    record = measure_baseline(file, _write_samples(tmp_path))
    assert record.rows == 200
    assert {(each.role, each.tensor) for each in record.series} == {("input", "x"), ("output", "y")}


def test_activations_are_those_of_the_manifest(file: OnnxFile, tmp_path: Path) -> None:
    known = SeriesRecord("activation", "inner", "act", None, 9, (), (), (1,), 0.0, 0.0, 0.0)
    manifest = replace(MANIFEST, baseline=BaselineRecord(9, (known,)))
    record = measure_baseline(replace(file, manifest=manifest), _write_samples(tmp_path))
    [found] = [each for each in record.series if each.role == "activation"]
    assert (found.tensor, found.layer, found.rows) == ("inner", "act", 200)


def test_activations_that_are_not_in_the_graph_are_left(file: OnnxFile, tmp_path: Path) -> None:
    known = SeriesRecord("activation", "absent", "act", None, 9, (), (), (1,), 0.0, 0.0, 0.0)
    manifest = replace(MANIFEST, baseline=BaselineRecord(9, (known,)))
    record = measure_baseline(replace(file, manifest=manifest), _write_samples(tmp_path))
    assert {each.role for each in record.series} == {"input", "output"}


def test_few_rows_and_other_inputs_are_refused(file: OnnxFile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fewer than 100 rows"):
        measure_baseline(file, _write_samples(tmp_path, 99))
    path = tmp_path / "others.npz"
    np.savez(path, z=np.ones((200, 2), np.float32))
    with pytest.raises(UsageError, match="has no array `x`"):
        measure_baseline(file, path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_without_a_finite_number_are_refused(file: OnnxFile, tmp_path: Path, value: float) -> None:
    np.savez(tmp_path / "samples.npz", x=np.full((200, 2), value, np.float32))
    with pytest.raises(UsageError, match="holds no finite number"):
        measure_baseline(file, tmp_path / "samples.npz")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (np.nan, "[1] holds no finite number, so that finite ones count as drift"),
        (np.inf, "[1] holds no finite number, so that finite ones count as drift"),
        (1.5, "[1] is always 1.5, so that other values count as drift"),
    ],
)
def test_columns_that_say_little_are_named(file: OnnxFile, tmp_path: Path, column: float, said: str) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    assert list(_measure(file, tmp_path, rows)) == []
    rows[:, 1] = column
    first, second = _measure(file, tmp_path, rows)
    assert first == f"input x{said}"
    assert second.startswith("output y[1] ")


def test_a_constant_tensor_is_named_once(file: OnnxFile, tmp_path: Path) -> None:
    remarks = _measure(file, tmp_path, np.zeros((200, 2), np.float32))
    assert [each.split(",")[0] for each in remarks] == ["input x is always 0", "output y is always 0"]


def _measure(file: OnnxFile, folder: Path, rows: Array) -> list[str]:
    np.savez(folder / "samples.npz", x=rows)
    return list(measure_baseline(file, folder / "samples.npz").list_remarks())
