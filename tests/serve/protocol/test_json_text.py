import math

import pytest
import simdjson

from serve.engine.errors import MalformedRequestError
from serve.protocol import json_text
from serve.protocol.json_parsers import SHORT_BYTES
from serve.protocol.json_text import MAX_MEMBERS, parse_json, read_items, read_members, to_python

# The same value must come out as Python's own, which short texts give at once, and as simdjson's.
PADDINGS = [b"", b" " * SHORT_BYTES]


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
@pytest.mark.parametrize(
    ("written", "value"),
    [
        (b'{"a": [1, 2.5, true, null, "\\u00fc"]}', {"a": [1, 2.5, True, None, "ü"]}),
        (b"[]", []),
        (b"[18446744073709551615, -9223372036854775808]", [2**64 - 1, -(2**63)]),
        (b'"text"', "text"),
        (b"[100000000000000000000, -18446744073709551616]", [10**20, -(2**64)]),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ],
)
def test_json_is_read(padding: bytes, written: bytes, value: object) -> None:
    assert to_python(parse_json(written + padding)) == value


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
def test_bare_nan_and_infinity_are_read(padding: bytes) -> None:
    value = parse_json(b'{"a": [NaN, Infinity, -Infinity, 1.5]}' + padding)
    numbers = (read_members(value) or {})["a"]
    assert isinstance(numbers, list)
    assert math.isnan(numbers[0])
    assert numbers[1:] == [math.inf, -math.inf, 1.5]


def test_a_surrogate_pair_beside_a_nan_is_one_character() -> None:
    assert parse_json(b'["\\ud83d\\ude00", Infinity]') == ["\U0001f600", math.inf]


def test_a_byte_order_mark_beside_nan_is_ignored() -> None:
    assert parse_json(b"\xef\xbb\xbf[Infinity]") == [math.inf]


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b"\xff",
        b"[1] 2",
        b"NaN,",
        b'{"a": Infinit}',
        b"[" * 100_000,
        b"[" * 100_000 + b"NaN" + b"]" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'["\\ud800"]',
        b'["\\ud800", NaN]',
        b"[NaN, " + b"1" * 5000 + b"]",
        b'["\xed\xa0\x80", NaN]',
        b"[1e400]",
        b"[1e400, NaN]",
    ],
    ids=range(17),
)
def test_what_is_not_json_is_malformed(padding: bytes, written: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="the body is not valid JSON"):
        parse_json(written + padding)


def test_a_message_is_one_line() -> None:
    with pytest.raises(MalformedRequestError) as error:
        parse_json(b'{"a"\n' + b" " * SHORT_BYTES)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("unit", [b"1,", b"[],", b"{},", b'"",'])
def test_too_many_values_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch, unit: bytes
) -> None:
    monkeypatch.setattr(json_text, "MAX_VALUES", SHORT_BYTES)
    parse_json(b"[" + b"1," * (SHORT_BYTES - 2) + b"1]")
    with pytest.raises(MalformedRequestError, match="send large tensors in binary"):
        parse_json(b"[" + unit * (SHORT_BYTES + 1) + b"1]")


def test_a_text_is_read_while_a_value_of_another_still_lives() -> None:
    long = b'{"a": [1]}' + b" " * SHORT_BYTES
    first = parse_json(long)
    assert isinstance(first, simdjson.Object)
    assert to_python(parse_json(long)) == to_python(first) == {"a": [1]}


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
def test_members_and_items_are_those_of_objects_and_lists_alone(padding: bytes) -> None:
    message = read_members(parse_json(b'{"a": [1, {}], "b": "x"}' + padding))
    assert message is not None
    assert list(message) == ["a", "b"]
    inner = read_items(message["a"])
    assert inner is not None
    assert [read_members(each) for each in inner] == [None, {}]
    assert read_items(message["b"]) is None
    assert read_members(message["b"]) is None


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
@pytest.mark.parametrize("other", [b"0", b"Infinity"], ids=["standard", "beyond it"])
def test_of_values_by_the_same_name_the_last_counts(padding: bytes, other: bytes) -> None:
    message = read_members(parse_json(b'{"a": 1, "b": %s, "a": 2}' % other + padding))
    assert message == {"a": 2, "b": float(other)}


def test_a_large_object_is_converted_at_once() -> None:
    # simdjson would go through all those before it for each: 60 000 names took 12 seconds.
    for count, copied in ((MAX_MEMBERS, False), (MAX_MEMBERS + 1, True)):
        names = b",".join(b'"name %d": [1]' % position for position in range(count))
        message = read_members(parse_json(b"{" + names + b"}" + b" " * SHORT_BYTES))
        assert message is not None
        assert len(message) == count
        assert isinstance(message["name 0"], list) == copied


@pytest.mark.parametrize("padding", PADDINGS, ids=["short", "long"])
def test_a_name_may_hold_any_character(padding: bytes) -> None:
    message = read_members(parse_json(b'{"a\\u0000b": 1, "\\u00fc": 2}' + padding))
    assert message == {"a\0b": 1, "ü": 2}
