import numpy as np
import orjson
import pytest

from serve.protocol import json_writing
from serve.protocol.json_writing import PIECE_VALUES, to_writable, write_json, write_rows


@pytest.mark.parametrize("shape", [(0,), (3,), (7, 2), (2, 3, 4), (1, 30), (30, 1), (2, 0), (1, 1, 1, 9)])
def test_pieces_are_what_the_whole_is(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    texts = array.astype(str).astype(object)
    monkeypatch.setattr(json_writing, "PIECE_VALUES", 4)
    assert write_json({"a": to_writable(array)}) == orjson.dumps({"a": array.tolist()})
    assert write_json(to_writable(texts)) == orjson.dumps(texts.tolist())


def test_an_array_may_lie_in_any_order() -> None:
    columns = np.arange(2.0 * PIECE_VALUES).reshape(2, -1).T
    assert orjson.loads(write_json(to_writable(columns))) == columns.tolist()
    assert b"null" in write_json(to_writable(np.full(PIECE_VALUES + 1, np.nan)))


def test_rows_are_a_list() -> None:
    rows = [{"a": np.array([1, 2]), "b": position} for position in range(5)]
    for values_per_row in (1, 3, PIECE_VALUES, 2 * PIECE_VALUES):
        assert orjson.loads(write_json(write_rows(rows, values_per_row)))[4] == {"a": [1, 2], "b": 4}
