import json
import struct
from typing import Any

import ml_dtypes
import numpy as np
import orjson
import pytest
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from serve.engine.datatypes import BFLOAT16, BY_NAME, DATATYPES, Datatype
from serve.engine.errors import MalformedRequestError, NotExpressibleError
from serve.protocol.binary import MAX_STRINGS, datatype_name, from_binary, to_binary
from serve.protocol.json_parsers import SHORT_BYTES
from serve.protocol.json_text import parse_json
from serve.protocol.tensors import check_finite, from_json, from_nested, to_json
from tests.serve.protocol.values import VALUES

JSON_DATATYPES = [each for each in DATATYPES if each.name != "BF16"]


def _parsed(data: object, *, long: bool) -> object:
    """The data as lists, or as simdjson's own array."""
    return parse_json(orjson.dumps(data) + b" " * (SHORT_BYTES if long else 0))


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("datatype", JSON_DATATYPES, ids=lambda datatype: datatype.name)
def test_json_gives_the_values_of_every_datatype(datatype: Datatype, long: bool) -> None:
    values = VALUES[datatype.name]
    got = from_json("x", _parsed(values, long=long), datatype, [1, 2])
    assert got.dtype == datatype.dtype
    assert got.tolist() == np.array([values], datatype.dtype).tolist()


@pytest.mark.parametrize("datatype", JSON_DATATYPES, ids=lambda datatype: datatype.name)
def test_json_carries_every_datatype_there_and_back(datatype: Datatype) -> None:
    array = np.array([VALUES[datatype.name]] * 2, datatype.dtype)
    written = orjson.dumps(to_json("y", array), option=orjson.OPT_SERIALIZE_NUMPY)
    assert from_json("y", parse_json(written), datatype, [2, 2]).tolist() == array.tolist()


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2]], [[3], [4]]]])
def test_json_data_are_flat_or_nested(data: object, long: bool) -> None:
    got = from_json("x", _parsed(data, long=long), BY_NAME["INT32"], [2, 2])
    assert got.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("UINT8", 256),
        ("UINT8", -1),
        ("INT8", 128),
        ("INT64", 2**63),
        ("INT32", 1.5),
        ("INT32", True),
        ("FP32", True),
        ("FP32", "1"),
        ("FP32", None),
        ("FP32", {}),
        ("FP32", 1e300),
        ("FP16", 70000),
        ("BOOL", 1),
        ("BYTES", 1),
    ],
)
def test_json_values_of_another_datatype_are_refused(datatype: str, value: object, long: bool) -> None:
    with pytest.raises(
        MalformedRequestError, match=f"input `x`: `data` holds a value that is not a `{datatype}`"
    ):
        from_json("x", _parsed([value], long=long), BY_NAME[datatype], [1])


def test_json_takes_nan_and_infinities_as_they_are() -> None:
    data = parse_json(b"[NaN, Infinity, -1]")
    assert np.array_equal(from_json("x", data, BY_NAME["FP16"], [3]), [np.nan, np.inf, -1], equal_nan=True)


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("shape", [[3], [1, 1], [2**40, 2**60], [0]])
def test_json_data_must_fill_the_shape(shape: list[int], long: bool) -> None:
    with pytest.raises(MalformedRequestError, match="values, got `2`"):
        from_json("x", _parsed([1, 2], long=long), BY_NAME["FP32"], shape)


def _outcome(data: object, datatype: str, shape: list[int]) -> object:
    try:
        return from_json("x", data, BY_NAME[datatype], shape).tolist()
    except MalformedRequestError as error:
        return str(error)


@pytest.mark.parametrize("shape", [[2, 2], [3]])
@pytest.mark.parametrize(
    "written",
    [
        "[1, 2, 3, 4]",
        "[[1, 2, 3], [4]]",
        "[1, 2, [3, 4]]",
        "[[[]], 1, [[2], 3], [], 4]",
        "[" * 200 + "1, 2, 3, 4" + "]" * 200,
        "[1, 2, 3]",
        "[1, 2, 3, null]",
        "[1, 2, 3, [{}]]",
        "[1.0, 2, 3, 4]",
        "[0, 0, 0, 18446744073709551615]",
        "[0, 0, 0, 18446744073709551616]",
        "[0.5, 0, 0, 123456789012345678901234567890]",
        "[0, 0, 0, 1" + "0" * 400 + "]",
        "[[true, false, true], false]",
        '["a", ["b", ["c"]], "d"]',
    ],
)
@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT64", "UINT64", "INT8", "BOOL", "BYTES"])
def test_data_mean_the_same_however_they_were_parsed(datatype: str, written: str, shape: list[int]) -> None:
    short, long = (parse_json(b"[%s%s]" % (written.encode(), b" " * padding)) for padding in (0, SHORT_BYTES))
    expected = _outcome([json.loads(written)], datatype, shape)
    assert _outcome(short, datatype, shape) == expected
    assert _outcome(long, datatype, shape) == expected


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize("datatype", ["FP32", "BOOL", "BYTES"])
def test_nested_data_is_read_in_order_into_the_shape(datatype: str, long: bool) -> None:
    values: list[Any] = (VALUES[datatype] * 2)[:4]
    data = _parsed([values[:3], [[values[3]]]], long=long)
    got = from_json("x", data, BY_NAME[datatype], [2, 2])
    assert got.ravel().tolist() == np.array(values, got.dtype).tolist()


@pytest.mark.parametrize("data", [1.5, "a", {}])
def test_json_data_that_are_no_list_are_refused(data: object) -> None:
    with pytest.raises(MalformedRequestError, match="`data` is not a list"):
        from_json("x", data, BY_NAME["FP32"], [1])


def test_bfloat16_has_no_json_form() -> None:
    with pytest.raises(MalformedRequestError, match="BF16 has no JSON form; send it in binary"):
        from_json("x", [1], BY_NAME["BF16"], [1])
    with pytest.raises(NotExpressibleError, match="BF16 has no JSON form; ask for binary output"):
        to_json("y", np.zeros(1, BFLOAT16))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_values_that_json_lacks_ask_for_binary_output(value: float, dtype: type) -> None:
    with pytest.raises(
        NotExpressibleError, match=r"output `y` holds NaN or an infinity.* ask for binary output"
    ):
        check_finite("y", np.array([1, value], dtype))


@pytest.mark.parametrize("datatype", JSON_DATATYPES, ids=lambda datatype: datatype.name)
def test_all_other_values_are_finite(datatype: Datatype) -> None:
    check_finite("y", np.array([VALUES[datatype.name]], datatype.dtype))


def test_nested_lists_give_the_shape() -> None:
    got = from_nested("x", [[[1, 2, 3]], [[4, 5, 6]]], BY_NAME["FP32"])
    assert got.shape == (2, 1, 3)
    assert got.dtype == np.float32


@pytest.mark.parametrize("data", [[[1, 2], [3]], [[1], 2], [1, [2]], [[1, 2], [3, [4]]], [[[]], [[1]]]])
def test_instances_of_different_shapes_are_refused(data: Any) -> None:
    with pytest.raises(
        MalformedRequestError, match="the instances are not all of one shape and of datatype `FP32`"
    ):
        from_nested("x", data, BY_NAME["FP32"])


@pytest.mark.parametrize(
    ("data", "datatype", "words"),
    [
        ([[1], ["a"]], "FP32", r"`instances\[1\]` holds `\"a\"`, which is no `FP32`"),
        ([[1], [2], None], "FP32", r"`instances\[2\]` holds `null`, which is no `FP32`"),
        ([{}], "FP32", r"`instances\[0\]` holds `an object`"),
        ([[True]], "FP32", r"`instances\[0\]` holds `true`"),
        ([[1, 2], [1, 1e39]], "FP32", r"`instances\[1\]` holds `1e\+39`"),
        ([[200, -1]], "UINT8", r"`instances\[0\]` holds `-1`, which is no `UINT8`"),
        ([[1.5]], "INT32", r"`instances\[0\]` holds `1.5`"),
        ([[1] * 10_000 + [10**30]], "INT64", r"`instances\[0\]` holds `1000000000000000000000000000000`"),
    ],
)
def test_the_first_value_of_another_datatype_is_named(data: Any, datatype: str, words: str) -> None:
    with pytest.raises(MalformedRequestError, match=words):
        from_nested("x", data, BY_NAME[datatype])


def test_nesting_deeper_than_numpy_allows_is_refused() -> None:
    data: Any = 1
    for _ in range(100):
        data = [data]
    with pytest.raises(MalformedRequestError):
        from_nested("x", data, BY_NAME["FP32"])


def test_long_strings_among_short_ones_cost_only_themselves() -> None:
    # numpy would give each of them the width of the longest: 10 GB here.
    data: Any = ["x" * 100_000] + ["y"] * 25_000
    assert from_nested("x", data, BY_NAME["BYTES"]).dtype == np.object_


FIXED_SIZE = [each for each in DATATYPES if each.name not in ("BF16", "BYTES")]


@pytest.mark.parametrize("datatype", FIXED_SIZE, ids=lambda datatype: datatype.name)
def test_binary_carries_every_datatype_there_and_back(datatype: Datatype) -> None:
    array = np.array([VALUES[datatype.name]] * 3, datatype.dtype)
    written = to_binary(array)
    assert len(written) == array.nbytes
    assert from_binary("x", memoryview(written), datatype, [3, 2]).tolist() == array.tolist()


def test_bytes_are_written_as_the_client_writes_them() -> None:
    texts = np.array([["", "naïve"], ["a\0b", "x" * 1000]], np.object_)
    theirs = serialize_byte_tensor(texts).item()
    assert to_binary(texts) == theirs
    assert from_binary("x", memoryview(theirs), BY_NAME["BYTES"], [2, 2]).tolist() == texts.tolist()
    assert [each.decode() for each in deserialize_bytes_tensor(theirs)] == texts.ravel().tolist()


def test_bfloat16_keeps_its_bits() -> None:
    theirs = np.array([[1.0, -2.0, 0.5]], ml_dtypes.bfloat16).tobytes()
    array = from_binary("x", memoryview(theirs), BY_NAME["BF16"], [1, 3])
    assert array.dtype == BFLOAT16
    assert to_binary(array) == theirs


@pytest.mark.parametrize("size", [0, 7, 9, 16])
def test_binary_data_must_fill_the_shape(size: int) -> None:
    with pytest.raises(MalformedRequestError, match=r"shape `\[2\]` of `FP32` takes `8` bytes, got"):
        from_binary("x", memoryview(bytes(size)), BY_NAME["FP32"], [2])


def test_a_shape_whose_size_overflows_is_refused() -> None:
    with pytest.raises(MalformedRequestError, match="takes"):
        from_binary("x", memoryview(bytes(8)), BY_NAME["FP32"], [2**40, 2**60])


def test_binary_data_at_an_odd_place_are_aligned() -> None:
    odd = memoryview(b"x" + np.array([1, 2], np.float64).tobytes())[1:]
    got = from_binary("x", odd, BY_NAME["FP64"], [2])
    assert got.flags.aligned
    assert got.tolist() == [1, 2]


def test_a_bool_is_one_or_zero() -> None:
    with pytest.raises(MalformedRequestError, match="a BOOL is a byte `0` or `1`"):
        from_binary("x", memoryview(b"\x02"), BY_NAME["BOOL"], [1])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x01", "expected `1` strings, got `1` bytes"),
        (struct.pack("<I", 2**32 - 1) + b"ab", "a string of `4294967295` bytes reaches beyond its tensor"),
        (struct.pack("<I", 0) * 3, "expected `1` strings, got more"),
        (b"", "expected `1` strings, got `0` bytes"),
        (struct.pack("<I", 1) + b"\xff", "a string is not UTF-8"),
    ],
)
def test_strings_whose_lengths_lie_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(MalformedRequestError, match=message):
        from_binary("x", memoryview(data), BY_NAME["BYTES"], [1])


def test_too_many_strings_are_refused_before_they_are_made() -> None:
    with pytest.raises(MalformedRequestError, match=f"at most `{MAX_STRINGS}` strings"):
        from_binary("x", memoryview(bytes(4)), BY_NAME["BYTES"], [MAX_STRINGS + 1])


def test_strings_that_cannot_be_there_are_not_looked_for() -> None:
    with pytest.raises(MalformedRequestError, match="expected `3` strings, got `8` bytes"):
        from_binary("x", memoryview(bytes(8)), BY_NAME["BYTES"], [3])


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_an_array_knows_the_protocols_name_of_its_datatype(datatype: Datatype) -> None:
    assert datatype_name(np.zeros(1, datatype.dtype)) == datatype.name
