import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.client.errors import InvalidFileError
from serve.client.experiments import parts
from serve.client.experiments.parts import LONGEST_LINE, Part, content_type, measure, read_parts


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 2)


def split(path: Path, content: bytes) -> list[Part]:
    path.write_bytes(content)
    found = list(read_parts(path))
    if found:
        assert found[-1].done == measure(path)
    return found


def test_lines_stay_whole(tmp_path: Path) -> None:
    found = split(tmp_path / "a.jsonl", b"1\n2\n3\n4\n5")
    assert [(part.content, part.before) for part in found] == [(b"1\n2\n", 0), (b"3\n4\n", 2), (b"5\n", 4)]


def test_every_part_of_a_table_has_its_header(tmp_path: Path) -> None:
    found = split(tmp_path / "a.csv", b"h\r\n1\r\n2\r\n3\r\n")
    assert [(part.content, part.before) for part in found] == [(b"h\r\n1\r\n2\r\n", 0), (b"h\r\n3\r\n", 2)]


def test_a_header_alone_is_sent_so_that_it_is_checked(tmp_path: Path) -> None:
    assert [part.content for part in split(tmp_path / "a.csv", b"colour")] == [b"colour\n"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_an_empty_file_has_no_parts(name: str, tmp_path: Path) -> None:
    assert split(tmp_path / name, b"") == []


def test_a_part_is_bounded_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_ROWS", 1000)
    monkeypatch.setattr(parts, "MOST_BYTES", 100)
    assert {len(part.content) for part in split(tmp_path / "a.jsonl", (b"x" * 49 + b"\n") * 10)} == {100}


def test_of_an_endless_line_no_more_is_sent_than_a_server_refuses(tmp_path: Path) -> None:
    found = split(tmp_path / "a.jsonl", b"x" * 100_000 + b"\n2\n3\n")
    assert len(found[0].content) == LONGEST_LINE + 1 + len(b"2\n")
    assert (found[1].content, found[1].before) == (b"3\n", 2)


def test_a_parquet_file_is_split_by_its_rows(tmp_path: Path) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({"unit": list("abc")}), file)
    found = split(tmp_path / "a.parquet", file.getvalue())
    rows = [pq.read_table(io.BytesIO(part.content))["unit"].to_pylist() for part in found]
    assert rows == [["a", "b"], ["c"]]
    assert [part.before for part in found] == [0, 2]


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PAR1" + bytes(100) + b"PAR1"])
def test_rubbish_is_no_parquet_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InvalidFileError, match="no Parquet file"):
        measure(tmp_path / "a.parquet")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match="cannot be read"):
        list(read_parts(tmp_path))
    with pytest.raises(InvalidFileError, match="ends in none of"):
        content_type(tmp_path / "a.xlsx")
