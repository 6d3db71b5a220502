"""What is read of files that are odd, broken or hostile; and that shards are the same whatever reads them."""

import csv
import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from serve.client import InvalidFileError, TensorMetadata
from serve.client.batch.columns import cast_to_input
from serve.client.batch.offline import arrays, lines, shards
from serve.client.batch.offline.batches import ArrayBatch, InstanceBatch, TableBatch, UnreadableRow
from serve.client.batch.offline.opening import open_sources
from serve.client.batch.offline.shards import Shard, ShardSize, plan_shards
from serve.engine.signature import Array
from serve.protocol.descriptions import DescribedPart
from tests.serve.client.batch.doubling import metadata
from tests.serve.client.batch.offline.conftest import GIVEN, Predict, load

TEXTS = metadata(t=TensorMetadata("t", "BYTES", (-1,)), u=TensorMetadata("u", "BYTES", (-1,)))
LONG = b"c" * 140_000
CELLS = [
    "t,u",
    "a,b",
    '"two\nlines","say ""so"""',
    "",
    'c,5" pipe',
    '"',
    '","d"',
    "e,f\r",
    '"g","h\r\n\r\ni"',
    'j,"k',
    "",
    'l"',
    "m,n",
]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_shards_of_a_table_have_the_rows_that_the_csv_module_reads(tmp_path: Path, batch: int) -> None:
    path = tmp_path / "in.csv"
    text = "\n".join(CELLS)
    path.write_text(text, newline="")
    _, *expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    plan = plan_shards(open_sources(path, TEXTS), ShardSize(batch, batch), None)
    assert [shard.rows for shard in plan.shards[:-1]] == [batch] * (len(plan.shards) - 1)
    rows: list[object] = []
    for shard in plan.shards:
        for part in plan.sources[0].read(shard, batch):
            assert isinstance(part, TableBatch)
            assert part.first == len(rows) + 1
            rows.extend(part.rows)
    assert rows == expected


def test_rows_of_odd_bytes_are_single_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(
        b"\xef\xbb\xbft,u\r\n\xff,b\r\n"
        + b"c" * 140_000
        + b',d\r\ne\rf,g\r\n"h'
        + b"i" * 140_000
        + b'",k\r\nl,m'
    )
    (source,) = open_sources(path, TEXTS)
    plan = plan_shards([source], ShardSize(8, 8), None)
    (batch,) = source.read(plan.shards[0], 8)
    assert isinstance(batch, TableBatch)
    assert [isinstance(row, UnreadableRow) for row in batch.rows] == [True, True, True, True, False]
    assert batch.rows[-1] == ["l", "m"]
    monkeypatch.setattr(lines, "RECORD_BYTES", 1000)
    with pytest.raises(InvalidFileError, match="a line of more than 1000 bytes"):
        plan_shards([source], ShardSize(8, 8), None)
    path.write_text('t,u\n"' + "a\n" * 600)
    with pytest.raises(InvalidFileError, match="a quoted cell has more than 1000 bytes"):
        plan_shards(open_sources(path, TEXTS), ShardSize(8, 8), None)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("in.csv", b"", "is empty, expected the names"),
        ("in.csv", b"x[0],x[1],x[2]\n\n", "has no row"),
        ("in.csv", b"1,2,3\n", "expected the names of the columns"),
        ("in.csv", b"\xff,a\n", "cannot be read as a table with a header"),
        ("in.csv", b'\xff,"', "ends in a quoted cell"),
        ("in.jsonl", b"\n \n", "has no row"),
        ("in.npz", b"PK", "cannot be read as an .npz file"),
        ("in.parquet", b"PAR1PAR1", "cannot be read as a Parquet file"),
        ("in.txt", b"", "is neither a folder nor a file that ends in"),
    ],
)
def test_a_file_that_is_none_is_refused(
    predict: Predict, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidFileError, match=message):
        predict(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def write_member(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", content)


def encode(array: Array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def test_an_archive_that_unpacks_to_too_much_is_refused_unread(
    predict: Predict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_member(tmp_path / "in.npz", encode(np.zeros((4000, 3), np.float32)), zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(arrays, "PACKED_BYTES", 10_000)
    with pytest.raises(InvalidFileError, match=r"unpacks to 48128 bytes, at most 10000; save it with `np"):
        predict(tmp_path / "in.npz")


def test_a_quote_that_is_never_closed_takes_no_rows_with_it(predict: Predict, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('x[0],x[1],x[2]\n1,2,3\n"4,5,6\n' + 50 * "1,2,3\n")
    with pytest.raises(InvalidFileError, match='ends in a quoted cell of the row that begins `"4,5,6`'):
        predict(tmp_path / "in.csv", keep_going=True)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': ",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, -3), }",
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': (0, {10**30}), }}",
    ],
)
def test_an_array_whose_header_is_nonsense_is_refused(tmp_path: Path, header: str) -> None:
    text = header.encode().ljust(118)
    write_member(tmp_path / "in.npz", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(InvalidFileError, match="cannot be read as an"):
        open_sources(tmp_path / "in.npz", TEXTS)


def test_a_compressed_array_is_read_once_for_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    is_open = Event()

    class Archive(zipfile.ZipFile):
        def __init__(self, stream: IO[bytes]) -> None:
            opened.append(stream)
            is_open.wait(0.1)  # for the other thread, where it does not wait for this one
            if len(opened) > 1:
                is_open.set()
            super().__init__(stream)

    np.savez_compressed(tmp_path / "in.npz", GIVEN)
    (source,) = open_sources(tmp_path / "in.npz", metadata())
    monkeypatch.setattr(zipfile, "ZipFile", Archive)
    plan = [Shard(0, 0, 0, 50), Shard(0, 50, 50, 50)]
    with ThreadPoolExecutor(2) as pool:
        assert [len(batches) for batches in pool.map(lambda shard: list(source.read(shard, 10)), plan)] == [
            5,
            5,
        ]
    assert len(opened) == 1


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_array_with_another_checksum_is_refused(
    predict: Predict, tmp_path: Path, save: Callable[..., None]
) -> None:
    save(tmp_path / "in.npz", np.random.default_rng(0).random((50, 3), np.float32))
    content = bytearray((tmp_path / "in.npz").read_bytes())
    content[400] ^= 255
    (tmp_path / "in.npz").write_bytes(content)
    with pytest.raises(InvalidFileError, match="cannot be read as an"):
        predict(tmp_path / "in.npz")


def test_the_shape_that_does_not_fit_is_the_files_own(predict: Predict, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", np.zeros((5, 2), np.float32))
    with pytest.raises(InvalidFileError, match=r"has the shape `\[5, 2\]`, the input takes `\[-1, 3\]`"):
        predict(tmp_path / "in.npz")


def test_an_array_that_says_it_has_more_rows_is_refused(predict: Predict, tmp_path: Path) -> None:
    content = encode(GIVEN)
    write_member(tmp_path / "in.npz", content.replace(b"(100, 3)", b"(999, 3)"))
    with pytest.raises(InvalidFileError, match="has other bytes than its header says"):
        predict(tmp_path / "in.npz")
    write_member(tmp_path / "in.npz", encode(np.array([[{}] * 3], np.object_)))
    with pytest.raises(InvalidFileError, match="objects of Python"):
        predict(tmp_path / "in.npz")
    np.savez(tmp_path / "in.npz", x=GIVEN[:, :2])
    with pytest.raises(InvalidFileError, match=r"has the shape `\[100, 2\]`"):
        predict(tmp_path / "in.npz")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([{"a": 1.0}]), "holds `struct<a: double>`"),
        (pa.array([b"abc"]), "holds `binary`"),
        (pa.array([1], pa.timestamp("s")), "holds `timestamp"),
    ],
)
def test_columns_of_other_types_are_refused(
    predict: Predict, tmp_path: Path, column: pa.Array, message: str
) -> None:
    parquet.write_table(pa.table({"x": column}), tmp_path / "in.parquet")
    with pytest.raises(InvalidFileError, match=message):
        predict(tmp_path / "in.parquet")


def test_lists_of_another_length_are_rows_without_an_answer(predict: Predict, tmp_path: Path) -> None:
    lists = pa.array([[1.0, 2.0, 3.0], [1.0, 2.0], None, [4.0, None, 6.0]] * 5, pa.list_(pa.float64()))
    parquet.write_table(pa.table({"x": lists}), tmp_path / "in.parquet")
    assert predict(tmp_path / "in.parquet", keep_going=True).failed == 10
    found = load(tmp_path / "out.npz")
    assert np.array_equal(found["y"][:4, 2], [6, np.nan, np.nan, 12], equal_nan=True)
    assert np.isnan(found["y"][3]).tolist() == [False, True, False]  # what pandas writes for NaN
    assert found["error"][1].startswith("row 2: array `x` has the shape")
    assert found["error"][2] == "row 3: column `x` has no value"


@pytest.mark.parametrize("half", ["\\ud800", "\\uDC00 b"])
def test_half_a_character_is_a_row_that_cannot_be_read(tmp_path: Path, half: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f'{{"t": "\\ud83d\\ude00"}}\n{{"t": ["{half}"]}}\n')
    (source,) = open_sources(path, TEXTS)
    (batch,) = source.read(plan_shards([source], ShardSize(8, 8), None).shards[0], 8)
    assert isinstance(batch, InstanceBatch)
    assert batch.instances == [
        {"t": "\U0001f600"},
        UnreadableRow("it has one half of a surrogate pair, which is no text"),
    ]


@pytest.mark.parametrize("texts", [["a", "é"], [b"a", "é".encode()]])
def test_texts_in_an_array_are_those_of_a_model(tmp_path: Path, texts: list[object]) -> None:
    np.savez(tmp_path / "in.npz", t=np.array(texts), u=np.array(texts))
    (source,) = open_sources(tmp_path / "in.npz", TEXTS)
    (batch,) = source.read(Shard(0, 0, 0, 2), 2)
    assert isinstance(batch, ArrayBatch)
    taken = cast_to_input(batch.specs[0], batch.arrays["t"])
    assert taken.dtype == np.object_
    assert taken.tolist() == ["a", "é"]


def test_a_file_that_claims_any_number_of_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet.write_table(pa.table({"t": ["a"] * 7, "u": ["b"] * 7}), tmp_path / "in.parquet")
    sources = open_sources(tmp_path / "in.parquet", TEXTS)
    monkeypatch.setattr(shards, "MOST_SHARDS", 3)
    assert plan_shards(sources, ShardSize(1, 3), None).rows == 7
    with pytest.raises(InvalidFileError, match="more rows than 3 shards hold, at most 6"):
        plan_shards(sources, ShardSize(1, 2), None)


def test_the_names_of_many_columns_are_not_all_in_an_error(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(",".join(f"column{place}" for place in range(5000)) + "\n")
    tokenizer = {"tokenizer": DescribedPart({"truncates": True}, "tokenizer.json")}
    for model in (TEXTS, replace(TEXTS, description=tokenizer)):
        with pytest.raises(InvalidFileError, match=r"`column9`, \.\.\.") as caught:
            open_sources(tmp_path / "in.csv", model)
        assert len(str(caught.value)) < 1000
