import contextlib
import json
import struct

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.client import BFLOAT16, InvalidInputError, InvalidReplyError
from serve.client.calls import Reply, read_infer_result
from serve.client.replies import JsonObject
from serve.client.tensors import Encoding, convert_dtype, describe_tensors, join_message, read_tensors
from serve.engine.datatypes import DATATYPES, Datatype
from serve.engine.signature import Array


def values(datatype: Datatype) -> Array:
    if datatype.name == "BYTES":
        return np.array([["", "naïve"], ["a\0b", "日本"]], np.object_)
    raw = np.random.default_rng(1).integers(0, 256, 4 * datatype.dtype.itemsize, np.uint8)
    if datatype.name == "BOOL":
        raw &= 1
    return raw.view(datatype.dtype).reshape(2, 2)


def there_and_back(array: Array, encoding: Encoding) -> Array:
    tensors = describe_tensors({"x": array}, encoding)
    content, size = join_message({"outputs": list(tensors.described)}, tensors)
    message = JsonObject(json.loads(content[:size]), "reply")
    return read_tensors(message.objects("outputs"), memoryview(content)[size:], "output")["x"]


@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda datatype: datatype.name)
def test_every_datatype_keeps_its_bits_in_binary(datatype: Datatype) -> None:
    array = values(datatype)
    back = there_and_back(array, "binary")
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tolist() == array.tolist() if datatype.name == "BYTES" else back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "datatype", [each for each in DATATYPES if each.name != "BF16"], ids=lambda d: d.name
)
def test_every_datatype_with_a_json_form_keeps_its_values(datatype: Datatype) -> None:
    array = values(datatype)
    back = there_and_back(array, "json")
    assert back.dtype == array.dtype
    if datatype.name == "BYTES":
        assert back.tolist() == array.tolist()
    else:
        assert np.array_equal(back, array, equal_nan=array.dtype.kind == "f")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((0, 3), np.float32),
        np.float32(2.5),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.arange(12, dtype=np.uint8)[::3],
        np.arange(3, dtype=">i4"),
    ],
    ids=["empty", "scalar", "by columns", "with gaps", "big-endian"],
)
def test_any_array_in_memory_is_sent_by_its_values(array: Array) -> None:
    back = there_and_back(np.asarray(array), "binary")
    assert np.array_equal(back, array)
    assert back.shape == np.shape(array)


def test_texts_of_numpy_and_bfloat16_of_others_are_taken() -> None:
    assert convert_dtype("x", np.array(["a"])).dtype == np.object_
    theirs = np.array([1.5, -2], ml_dtypes.bfloat16)
    assert convert_dtype("x", theirs).dtype == BFLOAT16
    assert convert_dtype("x", theirs).tobytes() == theirs.tobytes()


def test_objects_that_are_no_texts_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="input `x` has dtype `object` and holds other than texts"):
        convert_dtype("x", np.array(["a", None], np.object_))


@pytest.mark.parametrize("dtype", [np.complex64, np.dtype("datetime64[s]"), np.dtype([("a", "<f4")])])
def test_other_dtypes_are_refused(dtype: np.dtype[np.generic]) -> None:
    with pytest.raises(InvalidInputError, match="which the protocol does not have"):
        describe_tensors({"x": np.zeros(2, dtype)}, "binary")


def test_what_json_cannot_carry_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="BF16 has no JSON form"):
        describe_tensors({"x": np.zeros(2, BFLOAT16)}, "json")
    with pytest.raises(InvalidInputError, match="holds bytes"):
        describe_tensors({"x": np.array([b"\xff"], np.object_)}, "json")


def output(**changes: object) -> dict[str, object]:
    return {"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}} | changes


@pytest.mark.parametrize(
    ("entry", "tail", "reason"),
    [
        (output(shape=[-1]), bytes(4), "no possible shape"),
        (output(shape=[2**62, 4]), bytes(4), "takes"),
        (output(shape=[1] * 33), bytes(4), "no possible shape"),
        (output(shape="1"), bytes(4), "not a list"),
        (output(datatype="FP8"), bytes(4), "unknown datatype"),
        (output(parameters={"binary_data_size": 5}), bytes(4), "`4` are left"),
        (output(parameters={"binary_data_size": -1}), bytes(4), "`4` are left"),
        (output(), bytes(5), "`1` bytes of the reply belong to no output"),
        (output(parameters={}, data=[1, 2]), b"", "takes `1` values"),
        (output(parameters={}, data=["1.5"]), b"", '`"1.5"` is no value of FP32'),
        (output(parameters={}, data=[None]), b"", "`null` is no value of FP32"),
        (output(parameters={}, data=[1e39]), b"", "too large for FP32"),
        (output(parameters={}, data=[True]), b"", "`true` is no value of FP32"),
        (output(parameters={}, data=[1.7], datatype="INT64"), b"", "`1.7` is no value of INT64"),
        (output(parameters={}, data=[300], datatype="INT8"), b"", "too large for INT8"),
        (output(parameters={}, data=[7], datatype="BOOL"), b"", "`7` is no value of BOOL"),
        (output(parameters={}, data=[None], datatype="BYTES"), b"", "`null` is no value of BYTES"),
        (output(parameters={}, data=[[1], [1, 2]]), b"", "cannot be read"),
        (output(datatype="BYTES"), struct.pack("<I", 9), "reaches beyond"),
        (output(name=None), bytes(4), "not a string"),
    ],
)
def test_a_reply_that_lies_is_refused(entry: dict[str, object], tail: bytes, reason: str) -> None:
    text = json.dumps({"outputs": [entry]}).encode()
    headers = {"inference-header-content-length": str(len(text))}
    with pytest.raises(InvalidReplyError, match=reason):
        read_infer_result(Reply(200, headers, bytearray(text + tail)))


@pytest.mark.parametrize("size", ["x", "-1", "99999999999999999999", "3"])
def test_a_length_of_json_that_lies_is_refused(size: str) -> None:
    with pytest.raises(InvalidReplyError):
        read_infer_result(Reply(200, {"inference-header-content-length": size}, bytearray(b"{}")))


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_are_an_answer_or_an_invalid_reply(body: bytes, size: int) -> None:
    for headers in ({}, {"inference-header-content-length": str(size)}):
        with contextlib.suppress(InvalidReplyError):
            read_infer_result(Reply(200, headers, bytearray(body)))
