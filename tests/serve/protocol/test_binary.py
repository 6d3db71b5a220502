import struct

import ml_dtypes
import numpy as np
import pytest
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from serve.engine.datatypes import BFLOAT16, BY_NAME, DATATYPES, Datatype
from serve.engine.errors import MalformedRequestError
from serve.protocol.binary import MAX_STRINGS, datatype_name, from_binary, to_binary
from tests.serve.protocol.values import VALUES

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


def test_more_strings_than_memory_is_for_are_refused_before_they_are_made() -> None:
    with pytest.raises(MalformedRequestError, match=f"at most `{MAX_STRINGS}` strings"):
        from_binary("x", memoryview(bytes(4)), BY_NAME["BYTES"], [MAX_STRINGS + 1])


def test_strings_that_cannot_be_there_are_not_looked_for() -> None:
    with pytest.raises(MalformedRequestError, match="expected `3` strings, got `8` bytes"):
        from_binary("x", memoryview(bytes(8)), BY_NAME["BYTES"], [3])


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_an_array_knows_the_protocols_name_of_its_datatype(datatype: Datatype) -> None:
    assert datatype_name(np.zeros(1, datatype.dtype)) == datatype.name
