"""Texts of very different lengths, which numpy would keep as wide as the longest."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from serve.client.batch import results
from serve.client.batch.results import write_results
from serve.client.errors import ResultFileError

TEXTS = np.array(["long " * 4000, *[""] * 1999], np.object_)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_one_long_text_takes_no_more_memory_than_it_has(tmp_path: Path, name: str) -> None:
    tracemalloc.start()
    try:
        write_results(tmp_path / name, lambda: iter([{"text": TEXTS}]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * 2**20  # some of it is of modules that are imported; as wide as the longest: 150


def test_every_form_has_the_texts(tmp_path: Path) -> None:
    given = {"text": np.array([["", "é"], ["ab", "ä"]], np.object_)}
    for name in ("out.npz", "out.jsonl", "out.parquet"):
        write_results(tmp_path / name, lambda: iter([given, {"text": given["text"][:0]}]))
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["text"] for line in lines] == given["text"].tolist()
    assert parquet.read_table(tmp_path / "out.parquet")["text"].to_pylist() == given["text"].tolist()
    with np.load(tmp_path / "out.npz") as archive:
        assert archive["text"].tolist() == given["text"].tolist()


def test_an_output_without_a_value_in_a_row_is_a_column_of_empty_lists(tmp_path: Path) -> None:
    given = {"y": np.zeros((2, 2, 0), np.float32), "z": np.zeros((2, 0, 2), np.float32)}
    write_results(tmp_path / "out.parquet", lambda: iter([given]))
    rows = parquet.read_table(tmp_path / "out.parquet").to_pydict()
    assert rows == {"y": [[[], []]] * 2, "z": [[]] * 2}


def test_an_error_without_a_number_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(results, "_write_parquet", fail)
    with pytest.raises(ResultFileError, match="cannot be written: the disk is full"):
        write_results(tmp_path / "out.parquet", lambda: iter([]))
