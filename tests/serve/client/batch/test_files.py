"""What is read from files, and what is written to them."""

import csv
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from serve.client import BFLOAT16, InvalidFileError, TensorMetadata
from serve.client.batch.columns import cast_to_input, list_columns
from serve.client.batch.results import write_results
from serve.client.batch.rows import read_tensor_rows
from serve.client.batch.run import plan_batches
from serve.engine.signature import Array
from tests.serve.client.batch.doubling import metadata

TWO = metadata(a=TensorMetadata("a", "INT32", (-1,)), b=TensorMetadata("b", "BOOL", (-1, 2)))


def table(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_all_columns_are_the_one_inputs_whatever_they_are_called(tmp_path: Path) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", "p,q,r\n1,2.5,-3\n\n4,5e1,nan\n"), metadata(), ())
    assert rows.arrays["x"].dtype == np.float32
    assert np.array_equal(rows.arrays["x"], [[1, 2.5, -3], [4, 50, np.nan]], equal_nan=True)
    assert len(rows) == 2


def test_columns_find_the_inputs_that_they_are_named_for(tmp_path: Path) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", '"b[0]",a,"b[1]"\n1,7,false\ntrue,-8,0\n'), TWO, ())
    assert rows.arrays["a"].tolist() == [7, -8]
    assert rows.arrays["b"].tolist() == [[True, False], [True, False]]


def test_columns_are_put_in_the_order_of_their_indices(tmp_path: Path) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", "x[2],x[0],x[1]\n3,1,2\n"), metadata(), ())
    assert rows.arrays["x"].tolist() == [[1, 2, 3]]
    text = '"x[1,0]","x[0,1]","x[0,0]","x[1,1]"\n3,2,1,4\n'
    rows = read_tensor_rows(table(tmp_path / "b.csv", text), metadata((-1, 2, -1)), ())
    assert rows.arrays["x"].tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("x[0],x[0],x[7]", r"the column `x\[0\]` is there 2 times"),
        ("x[1],x[01],x[0]", r"the column `x\[1\]` is there 2 times"),
        ("x[0],x[1],x[3]", r"`3` columns, .* the shape `\[4\]`: some are missing"),
        ("x[1],x[2],x[3]", r"the shape `\[4\]`: some are missing"),
        ("x[0],x[1],x[999999999]", r"the shape `\[1000000000\]`: some are missing"),
        ("x,x[0],x[1]", "indices of different lengths"),
        ('"x[0,0]","x[1,0]","x[2,0]"', r"rows of the shape `\[3, 1\]`, it takes `\[3\]`"),
        (f"x[0],x[1],x[{'9' * 5000}]", "no input for"),
    ],
)
def test_columns_that_are_missing_or_there_twice_are_refused(
    tmp_path: Path, header: str, message: str
) -> None:
    with pytest.raises(InvalidFileError, match=message):
        read_tensor_rows(table(tmp_path / "a.csv", f"{header}\n1,2,3\n"), metadata(), ())


def test_a_missing_number_is_nan(tmp_path: Path) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", "a,b,c\n1,nan,NaN\n"), metadata(), ())
    assert np.isnan(rows.arrays["x"]).tolist() == [[False, True, True]]


def test_a_dynamic_size_follows_from_the_columns(tmp_path: Path) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", "a,b,c,d\n1,2,3,4\n"), metadata((-1, 2, -1)), ())
    assert rows.arrays["x"].tolist() == [[[1, 2], [3, 4]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, expected the names of the columns"),
        ("\n\n", "is empty, expected the names of the columns"),
        ("a,b,c\n", "no row below its header"),
        ("1,2,3\n4,5,6\n", "expected the names of the columns"),
        ("a,b,c\n1,2\n", "row 1 has 2 values, the header 3"),
        ("a,b\n1,2\n", r"rows of the shape `\[3\]`, which `2` columns cannot be"),
        ("a,b,c\n1,2,3\n1,2,three\n", "row 2, column `c` holds no `FP32`: .*three"),
        ("a,b,c\n1, ,3\n", "row 1, column `b` is empty, expected a `FP32`; a missing number is `nan`"),
        ('a,b,c\n1,2,"' + "x" * 200_000 + '"\n', "cannot be read as a table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidFileError, match=message):
        read_tensor_rows(table(tmp_path / "a.csv", text), metadata(), ())


@pytest.mark.parametrize(
    "text", ["a\n1\n", "a,b[0],b[1],c\n1,1,1,1\n", "a,b[0]\n1,1\n", "a,b[0],b[1]\n1.5,1,1\n"]
)
def test_columns_for_no_input_or_too_few_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidFileError):
        read_tensor_rows(table(tmp_path / "a.csv", text), TWO, ())


def test_arrays_find_their_inputs_and_one_alone_needs_no_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", anything=np.ones((4, 3)))
    assert read_tensor_rows(tmp_path / "a.npz", metadata(), ()).arrays["x"].dtype == np.float32
    np.savez(tmp_path / "b.npz", a=np.arange(4), b=np.ones((4, 2), np.bool_))
    assert read_tensor_rows(tmp_path / "b.npz", TWO, ()).arrays["a"].dtype == np.int32


@pytest.mark.parametrize(
    "arrays",
    [
        {"a": np.arange(4)},
        {"a": np.arange(4), "b": np.ones((3, 2), np.bool_)},
        {"a": np.arange(0), "b": np.ones((0, 2), np.bool_)},
        {"a": np.arange(4), "b": np.ones((4, 2), np.bool_), "c": np.arange(4)},
        {"a": np.arange(4), "b": np.array([[{}, {}]] * 4, np.object_)},
    ],
    ids=["missing", "other length", "empty", "unknown", "pickled"],
)
def test_an_archive_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, Array]) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]  # numpy's stub counts its own options
    with pytest.raises(InvalidFileError):
        read_tensor_rows(tmp_path / "a.npz", TWO, ())


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }".ljust(127) + b"\n"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive", NPY])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InvalidFileError, match=r"cannot be read as an \.npz file"):
        read_tensor_rows(tmp_path / "a.npz", metadata(), ())


def test_an_archive_with_any_byte_changed_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, x=np.arange(300, dtype=np.float32).reshape(100, 3))
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        with suppress(InvalidFileError):
            read_tensor_rows(path, metadata(), ())


@pytest.mark.parametrize(
    ("array", "datatype", "refused"),
    [
        (np.array([1.0, 1e300]), "FP32", "too large"),
        (np.array([1, 2**40]), "INT32", "whole numbers that `INT32` cannot hold"),
        (np.array([1, 2049]), "FP16", "whole numbers that `FP16` cannot hold"),
        (np.array([2**24 + 1, 1]), "FP32", "whole numbers that `FP32` cannot hold"),
        (np.array([1, -(2**24) - 1]), "FP32", "whole numbers that `FP32` cannot hold"),
        (np.array([2**53 + 1]), "FP64", "whole numbers that `FP64` cannot hold"),
        (np.array([2**63 - 1]), "FP32", "whole numbers that `FP32` cannot hold"),
        (np.array([2**64 - 1], np.uint64), "FP64", "whole numbers that `FP64` cannot hold"),
        (np.array([-1]), "UINT8", "cannot become"),
        (np.array([1.0]), "INT32", "cannot become"),
        (np.array(["a"]), "FP32", "cannot become"),
        (np.array([1.0]), "BYTES", "takes texts"),
        (np.array(1.0), "FP32", "the shape"),
        (np.array([1.0]), "FP8", "does not know"),
    ],
)
def test_values_that_would_change_are_refused(array: Array, datatype: str, refused: str) -> None:
    with pytest.raises(InvalidFileError, match=refused):
        cast_to_input(TensorMetadata("x", datatype, (-1,)), array)


@pytest.mark.parametrize("whole", [2**24, -(2**24), 2**24 + 2, 2**62, -(2**63)])
def test_large_whole_numbers_that_a_float_holds_are_taken(whole: int) -> None:
    array = cast_to_input(TensorMetadata("x", "FP32", (-1,)), np.array([whole]))
    assert array.dtype == np.float32
    assert int(array[0]) == whole


@pytest.mark.parametrize(
    ("text", "datatype", "reason"),
    [
        ("1e39", "FP32", "`1e39` is out of range"),
        ("-1e400", "FP64", "`-1e400` is out of range"),
        ("70000", "FP16", "`70000` is out of range"),
        ("1_0", "FP32", "`1_0`"),
        ("1_0", "INT32", "`1_0`"),
        ("16777217", "FP32", "a whole number that it cannot hold"),
        ("-9007199254740993", "FP64", "a whole number that it cannot hold"),
        ("300", "INT8", "`300` is out of range"),
        ("-1", "UINT64", "`-1` is out of range"),
    ],
)
def test_texts_that_would_become_another_number_are_refused(
    tmp_path: Path, text: str, datatype: str, reason: str
) -> None:
    path = table(tmp_path / "a.csv", f"x\n{text}\n")
    with pytest.raises(InvalidFileError, match=f"row 1, column .*{reason}"):
        read_tensor_rows(path, metadata((-1,), datatype), ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16777216", 2.0**24),
        (" -inf ", -np.inf),
        ("Infinity", np.inf),
        ("3.4028235e38", np.finfo(np.float32).max),
        ("16777217.0", 2.0**24),
        ("1e-60", 0.0),
    ],
)
def test_texts_of_large_and_rounded_floats_are_taken(tmp_path: Path, text: str, value: float) -> None:
    rows = read_tensor_rows(table(tmp_path / "a.csv", f"x\n{text}\n"), metadata((-1,)), ())
    assert rows.arrays["x"].tolist() == [value]


RESULTS: dict[str, Array] = {
    "y": np.array([[0.1, -np.inf], [np.nan, 1e-45]], np.float32),
    "n": np.array([2**63, 1], np.uint64),
    "b": np.array([True, False]),
    "t": np.array(['a,"b"\n', "é"], np.object_),
}


def test_a_table_of_results_reads_back_as_the_same_values(tmp_path: Path) -> None:
    write_results(tmp_path / "out.csv", lambda: iter([RESULTS]))
    with (tmp_path / "out.csv").open(newline="") as stream:
        header, *rows = list(csv.reader(stream))
    assert header == ["y[0]", "y[1]", "n", "b", "t"]
    assert np.array_equal(np.array([row[:2] for row in rows], np.float32), RESULTS["y"], equal_nan=True)
    assert [row[2:] for row in rows] == [[str(2**63), "true", 'a,"b"\n'], ["1", "false", "é"]]


def test_an_archive_of_results_reads_back_as_the_same_bits(tmp_path: Path) -> None:
    given = RESULTS | {"file": np.arange(2), "half": np.array([0x3FC0, 0xC000], "<u2").view(BFLOAT16)}
    write_results(tmp_path / "out.npz", lambda: iter([given]))
    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert found["y"].tobytes() == RESULTS["y"].tobytes()
        assert found["t"].tolist() == RESULTS["t"].tolist()
        assert found["half"].tolist() == [1.5, -2]
        assert found["file"].tolist() == [0, 1]


def test_a_result_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "out.npz").mkdir()
    with pytest.raises(InvalidFileError, match=r"out\.npz` cannot be written"):
        write_results(tmp_path / "out.npz", lambda: iter([RESULTS]))
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_columns_are_named_in_row_major_order() -> None:
    assert list_columns("y", ()) == ["y"]
    assert list_columns("y", (2, 2)) == ["y[0,0]", "y[0,1]", "y[1,0]", "y[1,1]"]


def test_a_model_with_a_fixed_batch_is_given_that() -> None:
    assert list(plan_batches(8, 3, metadata()).batches()) == [(0, 3), (3, 6), (6, 8)]
    assert plan_batches(8, 3, metadata((4, 3))).batch == 4
    with pytest.raises(InvalidFileError, match="takes `4` rows at once, and the input has `9`"):
        plan_batches(9, 3, metadata((4, 3)))
