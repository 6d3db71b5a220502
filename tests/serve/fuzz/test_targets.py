"""Bytes that nobody should send, and bytes that came back as they went.

`ADAPTACT_FUZZ=20000 pytest tests/serve/fuzz` tries so many of each kind.
"""

import importlib.util
import os
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, from_dtype

from serve.engine.datatypes import BFLOAT16, BY_NAME, DATATYPES, Datatype
from serve.engine.errors import EngineError
from serve.engine.signature import Array
from serve.protocol.binary import from_binary, to_binary
from serve.protocol.compression import compress, decompress
from serve.protocol.messages import InferRequest, RequestedOutput, read_request
from serve.protocol.replies import Answerer, write_reply
from serve.protocol.tensors import from_json
from tests.serve.fuzz.__main__ import main
from tests.serve.fuzz.targets import TARGETS

COUNT = int(os.environ.get("ADAPTACT_FUZZ", "60"))
EXECUTIONS = int(os.environ.get("ADAPTACT_FUZZ", "600"))
often = settings(max_examples=COUNT, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MAX_FREE = 2**63

# The words of the protocol's messages, in any place and with any value.
WORDS = st.sampled_from(
    [
        *("inputs", "outputs", "id", "parameters", "name", "shape", "datatype", "data", "instances", "b64"),
        *("binary_data_size", "binary_data_output", "binary_data", "classification", "timeout", "priority"),
        *(
            "sequence_id",
            "shared_memory_region",
            "shared_memory_byte_size",
            "config",
            "log_info",
            "log_verbose_level",
            "a",
            "b",
        ),
        *("unload_dependents", "max_batch_size", "version_policy", "dynamic_batching"),
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_FREE, 2 * MAX_FREE - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([*BY_NAME, "x", "y", "", "naïve\0"])
)
JSONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=5)
    ),
    max_leaves=30,
)


def _only_an_error_of_ours(name: str, data: bytes) -> None:
    with suppress(EngineError):
        TARGETS[name].read(data)


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_good_is_read(name: str) -> None:
    for good in TARGETS[name].good:
        TARGETS[name].read(good)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (each.cost > 1)) for name, each in TARGETS.items()],
)
@often
@given(data=st.data())
def test_garbage_is_refused_with_an_error_of_ours(name: str, data: st.DataObject) -> None:
    _only_an_error_of_ours(name, data.draw(st.binary(max_size=64)))
    good = bytearray(data.draw(st.sampled_from(TARGETS[name].good)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(0, len(good) - 1)))
        good[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    _only_an_error_of_ours(name, bytes(good))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["infer", "infer_json", "instances", "images", "settings"])
@often
@given(value=JSONS, prefix=st.binary(min_size=1, max_size=1))
def test_json_of_another_meaning_is_a_malformed_request(name: str, value: object, prefix: bytes) -> None:
    text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    before = (
        len(text).to_bytes(2, "little") if name == "infer" else prefix[:1] if name == "instances" else b""
    )
    _only_an_error_of_ours(name, before + text)


def _tensors(datatype: Datatype) -> st.SearchStrategy[Array]:
    shapes = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    if datatype.name == "BYTES":
        return arrays(np.object_, shapes, elements=st.text(max_size=8), fill=st.nothing())
    if datatype.dtype == BFLOAT16:
        return arrays(np.uint16, shapes).map(lambda bits: bits.view(BFLOAT16) if bits.ndim else _scalar(bits))
    return arrays(datatype.dtype, shapes)


def _scalar(bits: Array) -> Array:
    return bits.reshape(1).view(BFLOAT16).reshape(())


@pytest.mark.slow
@pytest.mark.parametrize("datatype", DATATYPES, ids=lambda each: each.name)
@often
@given(data=st.data())
def test_a_binary_tensor_comes_back_bit_for_bit(datatype: Datatype, data: st.DataObject) -> None:
    sent = data.draw(_tensors(datatype))
    got = from_binary("x", memoryview(to_binary(sent)), datatype, sent.shape)
    assert (got.dtype, got.shape, to_binary(got)) == (datatype.dtype, sent.shape, to_binary(sent))


JSON_TYPES = [each for each in DATATYPES if each.dtype != BFLOAT16]


@pytest.mark.slow
@pytest.mark.parametrize("datatype", JSON_TYPES, ids=lambda each: each.name)
@often
@given(data=st.data())
def test_a_tensor_in_a_message_comes_back_as_it_went(datatype: Datatype, data: st.DataObject) -> None:
    finite: dict[str, Any] = (
        {"allow_nan": False, "allow_infinity": False} if datatype.dtype.kind == "f" else {}
    )
    shapes = array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
    elements = st.text(max_size=8) if datatype.name == "BYTES" else from_dtype(datatype.dtype, **finite)
    sent = data.draw(arrays(datatype.dtype, shapes, elements=elements, fill=st.nothing()))
    binary = data.draw(st.booleans())
    request = InferRequest({}, {"x": RequestedOutput(binary)}, id=data.draw(st.none() | st.text(max_size=4)))
    reply = write_reply(Answerer("m", "1"), request, {"x": sent})
    # What an answer calls outputs a request calls inputs, and that is all that differs.
    size = len(reply.body) if reply.json_bytes is None else reply.json_bytes
    message = orjson.loads(reply.body[:size])
    assert message.get("id") == request.id
    text = orjson.dumps({"inputs": message["outputs"]})
    got = read_request(text + reply.body[size:], len(text)).inputs["x"]
    assert (got.dtype, got.shape, to_binary(got)) == (datatype.dtype, sent.shape, to_binary(sent))
    nested = from_json("x", sent.tolist(), datatype, sent.shape) if 0 not in sent.shape else got
    assert to_binary(nested) == to_binary(sent)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@often
@given(part=st.binary(min_size=1, max_size=64), times=st.integers(1, 2000))
def test_what_is_compressed_comes_back(coding: Any, part: bytes, times: int) -> None:
    body = part * times
    shorter = compress(body, coding)
    assert shorter is None or decompress(shorter, coding, len(body)) == body


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzzer_that_looks_for_new_paths_finds_no_other_error(name: str) -> None:
    assert main(EXECUTIONS, [name]) == 0
