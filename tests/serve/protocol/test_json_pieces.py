"""Long texts, made long by windows of a few bytes: what is read in pieces is what is read at once."""

import random
from collections.abc import Callable

import pytest

from serve.engine.datatypes import BY_NAME
from serve.engine.errors import EngineError
from serve.engine.signature import Signature, TensorSpec
from serve.protocol import json_pieces, json_structure, json_text
from serve.protocol.json_text import LONG_BYTES, parse_json, to_python
from serve.protocol.messages import read_request
from serve.protocol.predict import parse_instances, read_instances

NEVER = 2**40
WINDOWS = (2, 3, 5, 8, 16, 33, 64)
ONE = Signature((TensorSpec("x", BY_NAME["FP32"], ("N", 3)),), ())
TWO = Signature((TensorSpec("a", BY_NAME["INT32"], ("N", 2)), TensorSpec("b", BY_NAME["BYTES"], ("N",))), ())

Read = Callable[[bytes], object]


def _parse(text: bytes) -> object:
    return to_python(parse_json(text))


def _infer(text: bytes) -> object:
    request = read_request(text)
    return {name: (array.dtype, array.shape, array.tolist()) for name, array in request.inputs.items()}


def _predict(text: bytes) -> object:
    inputs = read_instances(parse_instances(text), TWO if b'"b"' in text else ONE)
    return {name: (array.shape, array.tolist()) for name, array in inputs.items()}


def _outcome(read: Read, text: bytes) -> str:
    try:
        return repr(read(text))
    except EngineError as error:
        return f"{type(error).__name__}: {error}"


def _compare(monkeypatch: pytest.MonkeyPatch, read: Read, text: bytes, window: int) -> None:
    monkeypatch.setattr(json_text, "LONG_BYTES", NEVER)
    whole = _outcome(read, text)
    monkeypatch.setattr(json_text, "LONG_BYTES", 0)
    monkeypatch.setattr(json_structure, "WINDOW_BYTES", window)
    assert _outcome(read, text) == whole, (text, window)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [1, 2, 3], "b": {"c": [[4, 5], [6, 7]], "": 8}, "a": [9, [10, 11, 12, 13]]}',
        rb'["a,b]", "\"", "\\", "\\\",[", "\u00fc", "", "a long text that no window holds [,]{}"]',
        b'["\xc3\xbc,\xc3\xbc", {"\xc3\xbc": 1}, [[], [[]], {}, [{}]], true, null, -0.0]',
        b'\xef\xbb\xbf[1, 2, 3, {"a": 4}]',
        b"[100000000000000000000, 18446744073709551615, -9223372036854775808, 1, 2]",
        b"[Infinity, -Infinity, 2.5, NaN, 1e5]",
        b"  [ 1 , 2 ,\n 3 ] \n ",
        b'"a text without a comma"',
        b"123456789",
        # What follows is not JSON.
        b"",
        b"[1, 2,, 3]",
        b"[, 1, 2, 3]",
        b"[1, 2, 3,]",
        b'{"a": 1, "b": 2,}',
        b'{"a": 1,, "b": 2}',
        b'{, "a": 1, "b": 2}',
        b'{"a": 1, "b" 2, "c": 3}',
        b'{"a", "b", "c", "d"}',
        b'{"a": 1, [2, 3, 4, 5, 6, 7]: 8}',
        b"[1, 2, 3}",
        b'{"a": [1, 2, 3, 4, 5, 6}, "b": 7]',
        b"[1, 2, 3, 4] 5, 6",
        b"[1, 2, 3, 4]]",
        b"]]]",
        b"1, 2, 3",
        b"[1, 2, 3, 4",
        b"[1, 2, 3, [4, 5,",
        b'{"a": [1, 2, 3], "b": 1[4, 5, 6, 7, 8]}',
        b'{"shape": [2][, "data": [1, 2, 3, 4, 5], "c": 6}',
        b"[1, 2, -[3, 4, 5, 6, 7, 8, 9]]",
        b'["a, b, c, d, e, f',
        b"[1, 2, 3, 1e400, 5, 6]",
        b"[1, 2,\n 3, 4,\n 5 6, 7]",
        b'["\xff", 1, 2, 3, 4 5]',
        b'["\xc3\xbc\xc3\xbc", 1, 2, 3, 4 5]',
        b'\xef\xbb\xbf["\xc3\xbc", 1, 2, 3, 4 5]',
        b"\xef\xbb\xbf\xef\xbb\xbf[1, 2, 3]",
        b'["\\ud800", 1, 2, 3]',
        b"[1, 2, 3, 01, 4]",
        b"[" * 2000 + b"]" * 2000,
        b"[" * 2000,
    ],
)
def test_a_text_is_read_as_at_once(monkeypatch: pytest.MonkeyPatch, text: bytes, window: int) -> None:
    _compare(monkeypatch, _parse, text, window)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("datatype", "count", "data"),
    [
        ("FP32", 8, b"[1, 2.5, -3, 16777217, 1, 2, 3, 4]"),
        ("FP32", 6, b"[[1, 2, 3], [4, 5, 6.5]]"),
        ("FP32", 6, b"[[1, 2], [[3]], 4, [], [[], [5, 6]]]"),
        ("FP32", 6, b"[1, 2, NaN, 4, Infinity, 100000000000000000000]"),
        ("FP32", 6, b"[1, 2, 3, 4, 5, 1e39]"),
        ("FP32", 6, b"[1, 2, 3, 4, 5, true]"),
        ("FP32", 6, b'[1, 2, 3, {"a": [4, 5, 6, 7, 8, 9]}]'),
        ("FP32", 7, b"[1, 2, 3, 4, 5, 6]"),
        ("FP64", 4, b"[9007199254740993, 2.5, 18446744073709551615, 1]"),
        ("INT64", 6, b"[9223372036854775807, -9223372036854775808, 3, 4, 5, 9007199254740993]"),
        ("INT64", 6, b"[1, 2, 3, 4, 5, 9223372036854775808]"),
        ("INT64", 6, b"[1, 2, 3, 4, 5.0, 6]"),
        ("UINT64", 6, b"[18446744073709551615, 2, 3, 4, 5, 6]"),
        ("UINT64", 6, b"[18446744073709551615, 2, 3, 4, 5, -6]"),
        ("INT8", 6, b"[1, 2, 3, 4, 5, 128]"),
        ("BOOL", 6, b"[true, false, true, [true, false], true]"),
        ("BOOL", 6, b"[true, false, true, true, false, 1]"),
        ("BYTES", 4, rb'["a,b", "\"]", ["c"], "a text longer than its window"]'),
        ("BYTES", 4, b'["a", "b", "c", null]'),
        ("FP32", 0, b"[" + b" " * 70 + b"]"),
        ("FP32", 0, b"[" + b"[]," * 30 + b"[]]"),
    ],
)
def test_a_tensor_is_read_as_at_once(
    monkeypatch: pytest.MonkeyPatch, datatype: str, count: int, data: bytes, window: int
) -> None:
    head = b'{"id": "7", "inputs": [{"name": "x", "shape": [%d], "datatype": "%s", "data": '
    text = head % (count, datatype.encode()) + data + b'}], "outputs": [{"name": "y"}]}'
    _compare(monkeypatch, _infer, text, window)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "instances",
    [
        b"[[1, 2, 3], [4, 5, 6], [7, 8, 9.5]]",
        b"[[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 10], [11, 12]]]",
        b"[[1, 2, 3], [4, 5, NaN], [7, 8, 9]]",
        b"[[1, 2, 3], [4, 5], [7, 8, 9]]",
        b"[[1, 2, 3], [4, 5, 6], [7, 8, []]]",
        b"[[1, 2, 3], [4, 5, 6], 7]",
        b"[[], [], [], []]",
        b"[1, 2, 3, 4, 5, 6]",
        b'[{"x": [1, 2, 3]}, {"x": [4, 5, 6]}]',
        b'[{"a": [1, 2], "b": "c"}, {"a": [3, 4], "b": "d"}, {"a": [5, 6], "b": "e"}]',
        b'[{"a": [1, 2], "b": "c"}, {"a": [3, 4], "b": "d"}, {"a": [5, 6]}]',
        b"[]",
        b'"text"',
    ],
)
def test_instances_are_read_as_at_once(
    monkeypatch: pytest.MonkeyPatch, instances: bytes, window: int
) -> None:
    _compare(monkeypatch, _predict, b'{"instances": ' + instances + b', "signature_name": "a"}', window)


@pytest.mark.slow
def test_damaged_texts_are_refused_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    seeds = [
        b'{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[-3,4]]}],"id":"\\u00fc"}',
        b'{"instances":[[1,2,3],[4,5,6],[7,8,9]],"n":{"":[1,{"a":"\\"]"}]}}',
    ]
    for _ in range(1000):
        text = bytearray(chance.choice(seeds))
        at = chance.randrange(len(text))
        piece = chance.choice((b"[", b"]", b"{", b"}", b",", b'"', b"\\", b" ", b"1", b"NaN", b"\xc3", b""))
        text[at : at + chance.randrange(2)] = piece
        read = chance.choice((_infer, _predict))
        _compare(monkeypatch, read, bytes(text), chance.choice(WINDOWS))


def test_other_threads_have_turns_while_a_text_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[float] = []
    monkeypatch.setattr(json_pieces, "TURN_SECONDS", -1.0)
    monkeypatch.setattr(json_pieces, "sleep", turns.append)
    parse_json(b"[" + b"1.5," * LONG_BYTES + b"1.5]")
    assert len(turns) > 4 * LONG_BYTES / json_structure.WINDOW_BYTES
