import pytest

from serve.protocol import json_structure
from serve.protocol.json_structure import WINDOW_BYTES, count_values, measure_nesting, split_windows


def _cut(text: bytes) -> list[bytes]:
    return [text[window.start : window.end] for window in split_windows(memoryview(text))]


def test_the_rows_of_a_matrix_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_structure, "WINDOW_BYTES", 12)
    assert _cut(b"[[1,2],[3,4],[5,6],[7,8]]") == [b"[[1,2],", b"[3,4],[5,6],", b"[7,8]]"]


def test_commas_and_brackets_in_texts_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_structure, "WINDOW_BYTES", 12)
    text = rb'["a,[,],\",\\",1,2,"\\\\,{",3,4,5]'
    windows = list(split_windows(memoryview(text)))
    commas = [window.end - 1 for window in windows if window.ends_with_comma]
    assert len(commas) == 2
    assert set(commas) < {text.index(b",%s" % after) for after in (b"1", b"2", rb'"\\\\', b"3", b"4", b"5")}
    assert [text[bracket : bracket + 1] for window in windows for bracket in window.brackets] == [b"[", b"]"]


def test_every_byte_is_in_one_window_and_windows_are_short() -> None:
    for unit in (b"1,", b"[],", b'"a,",', b"[1,[1,", b"\\", b'{"a":[1],"b":', b" "):
        text = unit * (3 * WINDOW_BYTES // len(unit))
        pieces = _cut(text)
        assert b"".join(pieces) == text
        assert max(map(len, pieces)) <= WINDOW_BYTES
        assert len(pieces) <= 8


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (b"1, 2.5, -3e5", (3,)),
        (b"[1, 2], [3, 4], [5, 6]", (3, 2)),
        (b"[[1, 2, 3], [4, 5, 6]]", (1, 2, 3)),
        (b"[[[1]]], [[[2]]]", (2, 1, 1, 1)),
        (b"[1, 2], [3]", None),
        (b"1, [2]", None),
        (b"[1], 2", None),
        (b"[[1], [2]], [[3, 4]]", None),
        (b"[[1, 2]], [3, 4]", None),
        (b"[" * 40 + b"1" + b"]" * 40, None),
    ],
)
def test_numbers_have_a_shape_if_all_their_lists_have_one(text: bytes, shape: tuple[int, ...] | None) -> None:
    assert measure_nesting(text) == shape


def test_commas_lists_and_objects_are_counted() -> None:
    assert count_values(b'[1, {"a": [2, 3]}]') == 5
