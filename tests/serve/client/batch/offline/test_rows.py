from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from serve.client import InvalidFileError, TensorMetadata
from serve.client.batch.columns import cast_to_input
from serve.client.batch.offline import parquet as parquet_room
from serve.client.batch.offline.batches import ArrayBatch
from serve.client.batch.offline.opening import open_sources
from serve.client.batch.offline.rows import answer_arrays, answer_instances, load_once
from serve.client.batch.offline.shards import Shard
from serve.engine.signature import Array
from tests.serve.client.batch.doubling import metadata
from tests.serve.client.batch.offline.conftest import GIVEN


def test_rows_in_memory_are_answered_by_a_model_that_is_loaded_once(double: Path) -> None:
    model = load_once(double)
    assert load_once(double) is model
    assert answer_arrays(model, {"x": GIVEN}, batch=8)["y"].tobytes() == (GIVEN + GIVEN).tobytes()
    assert answer_instances(model, [{"x": row} for row in GIVEN[:40].tolist()])["y"].shape == (40, 3)
    with pytest.raises(InvalidFileError, match=r"has the shape `\[8, 2\]`"):
        answer_arrays(model, {"x": GIVEN[:, :2]}, batch=8)


def test_a_path_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"is no file whose name ends in `\.onnx`"):
        load_once(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(np.zeros(100, np.uint8).data)
    with pytest.raises(InvalidFileError, match="cannot be loaded: ONNX Runtime cannot load it"):
        load_once(tmp_path / "broken.onnx")


def test_texts_are_taken_as_pandas_has_them() -> None:
    spec = TensorMetadata("t", "BYTES", (-1,))
    texts = np.array(["a", "bc"], np.object_)
    assert cast_to_input(spec, texts) is texts
    with pytest.raises(InvalidFileError, match="the input takes texts"):
        cast_to_input(spec, np.array(["a", None], np.object_))


def test_a_long_text_in_a_column_leaves_the_others_short(tmp_path: Path) -> None:
    texts = ["long " * 4000, *[""] * 1999]
    parquet.write_table(pa.table({"t": texts}), tmp_path / "in.parquet")
    (source,) = open_sources(tmp_path / "in.parquet", metadata(t=TensorMetadata("t", "BYTES", (-1,))))
    (batch,) = source.read(Shard(0, 0, 0, len(texts)), len(texts))
    assert isinstance(batch, ArrayBatch)
    assert batch.arrays["t"].nbytes < 2**20
    assert batch.arrays["t"].tolist() == texts


def test_texts_that_a_file_holds_once_are_read_a_few_rows_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    to_array = parquet_room._to_array

    def note(name: str, column: pa.ChunkedArray, spec: TensorMetadata) -> Array:
        sizes.append(column.nbytes)
        return to_array(name, column, spec)

    monkeypatch.setattr(parquet_room, "_to_array", note)
    parquet.write_table(pa.table({"t": ["long " * 400] * 5000}), tmp_path / "in.parquet")
    (source,) = open_sources(tmp_path / "in.parquet", metadata(t=TensorMetadata("t", "BYTES", (-1,))))
    assert sum(map(len, source.read(Shard(0, 0, 0, 5000), 32))) == 5000
    assert max(sizes) < 3 * 2**20


def test_arrays_that_are_not_those_of_the_inputs_are_refused(double: Path) -> None:
    model = load_once(double)
    for arrays in ({}, {"y": GIVEN}, {"x": GIVEN, "y": GIVEN[:1]}):
        with pytest.raises(InvalidFileError, match=r"for each of the inputs `\['x'\]`"):
            answer_arrays(model, arrays)
    two = ModelOfTwo()
    with pytest.raises(InvalidFileError, match=r"'a': \[1\], 'b': \[2\]"):
        answer_arrays(two, {"a": np.zeros(1), "b": np.zeros(2)})  # type: ignore[arg-type]
    with pytest.raises(InvalidFileError, match="there is no row"):
        answer_arrays(model, {"x": GIVEN[:0]})
    with pytest.raises(InvalidFileError, match="there is no row"):
        answer_instances(model, [])


class ModelOfTwo:
    metadata = metadata(a=TensorMetadata("a", "FP32", (-1,)), b=TensorMetadata("b", "FP32", (-1,)))
