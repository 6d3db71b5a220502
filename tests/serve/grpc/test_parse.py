import contextlib
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.engine.errors import MalformedRequestError
from serve.grpc.parse import MAX_FIELDS, SHORT_BYTES, parse
from serve.grpc.wire import message_class

Request = message_class("inference.ModelInferRequest")


@pytest.mark.parametrize("field", [b"\x2a\x00", b"\x3a\x00", b"\x32\x00"], ids=["inputs", "raw", "outputs"])
def test_many_empty_parts_are_refused_before_they_take_memory(field: bytes) -> None:
    data = field * (4 * 2**20 // len(field))
    tracemalloc.start()
    with pytest.raises(MalformedRequestError, match=f"more than `{MAX_FIELDS}` fields"):
        parse(Request, data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


def test_a_large_tensor_is_one_field() -> None:
    message = Request(model_name="m", raw_input_contents=[bytes(2**20)] * 2)
    message.parameters["timeout"].int64_param = 2**40
    assert parse(Request, message.SerializeToString()) == message


@pytest.mark.parametrize(
    "data",
    [b"\xff", b"\x0a\xff", b"\x0a\x02\xff\xfe", b"\x0b", b"\x0a", bytes(10)],
    ids=["cut", "length", "not UTF-8", "group", "missing", "field 0"],
)
@pytest.mark.parametrize("padding", [0, SHORT_BYTES])
def test_other_bytes_are_refused(data: bytes, padding: int) -> None:
    raw = Request(raw_input_contents=[bytes(padding)]).SerializeToString() if padding else b""
    with pytest.raises(MalformedRequestError):
        parse(Request, raw + data)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    raw = Request(raw_input_contents=[bytes(SHORT_BYTES)]).SerializeToString()
    for given_ in (data, raw + data):
        with contextlib.suppress(MalformedRequestError):
            parse(Request, given_)
