"""The protocol's own client, unchanged, against the real server."""

import asyncio
import struct
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from serve.engine.datatypes import DATATYPES
from tests.serve.process import ServerProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # gevent's own, on import

LEFT = np.arange(8, dtype=np.int32).reshape(2, 4)
RIGHT = np.ones((2, 4), np.int32)


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[Any]:
    connected = triton.InferenceServerClient(server.address)
    yield connected
    connected.close()


def _input(name: str, array: np.ndarray[Any, Any], *, binary: bool, datatype: str | None = None) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("double")
    assert client.is_model_ready("double", "2")
    assert not client.is_model_ready("nope")
    assert client.get_server_metadata()["name"] == "adaptact"
    assert client.get_model_metadata("double")["versions"] == ["1", "2", "10"]
    assert client.get_model_metadata("double", "1", query_params={"test_1": 1})["name"] == "double"


def test_the_default_call_is_binary_both_ways(client: Any) -> None:
    inputs = [_input("INPUT0", LEFT, binary=True), _input("INPUT1", RIGHT, binary=True)]
    result = client.infer("add_sub", inputs, request_id="42")
    assert result.get_response()["id"] == "42"
    assert np.array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
    assert np.array_equal(result.as_numpy("OUTPUT1"), LEFT - RIGHT)


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_json_and_binary_mix_in_one_call(client: Any, binary_in: bool, binary_out: bool) -> None:
    inputs = [_input("INPUT0", LEFT, binary=binary_in), _input("INPUT1", RIGHT, binary=True)]
    outputs = [
        triton.InferRequestedOutput("OUTPUT1", binary_data=binary_out),
        triton.InferRequestedOutput("OUTPUT0", binary_data=not binary_out),
    ]
    result = client.infer("add_sub", inputs, outputs=outputs)
    assert np.array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
    assert np.array_equal(result.as_numpy("OUTPUT1"), LEFT - RIGHT)


def _values(datatype: str) -> np.ndarray[Any, Any]:
    if datatype == "BYTES":
        return np.array([["", "naïve"]], np.object_)
    dtype = next(each.dtype for each in DATATYPES if each.name == datatype)
    return np.array([[0, 1]], ml_dtypes.bfloat16 if datatype == "BF16" else dtype)


@pytest.mark.parametrize("datatype", [each.name for each in DATATYPES])
def test_every_datatype_goes_there_and_back_in_binary(client: Any, datatype: str) -> None:
    given = _values(datatype)
    result = client.infer(f"identity-{datatype}", [_input("x", given, binary=True, datatype=datatype)])
    got = result.as_numpy("y")
    assert [_text(value) for value in got.ravel()] == [_text(value) for value in given.ravel()]


@pytest.mark.parametrize("datatype", [each.name for each in DATATYPES if each.name != "BF16"])
def test_every_datatype_but_bfloat16_goes_there_and_back_in_json(client: Any, datatype: str) -> None:
    given = _values(datatype)
    outputs = [triton.InferRequestedOutput("y", binary_data=False)]
    inputs = [_input("x", given, binary=False, datatype=datatype)]
    got = client.infer(f"identity-{datatype}", inputs, outputs=outputs).as_numpy("y")
    assert [_text(value) for value in got.ravel()] == [_text(value) for value in given.ravel()]


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def test_an_empty_batch_is_answered(client: Any) -> None:
    result = client.infer("double", [_input("x", np.zeros((0, 3), np.float32), binary=True)])
    assert result.as_numpy("y").shape == (0, 3)


def test_nan_in_json_is_taken(client: Any) -> None:
    given = np.array([np.nan, 1], np.float32)
    result = client.infer(
        "log", [_input("x", given, binary=False)], outputs=[triton.InferRequestedOutput("y")]
    )
    assert np.array_equal(result.as_numpy("y"), [np.nan, 0], equal_nan=True)


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("nope", "", r"\[404\] Request for unknown model: `nope` is not found"),
        ("double", "9", r"\[404\] Request for unknown model: `double` version `9` is not found"),
        ("log", "", r"\[400\] input `x` has the wrong shape: expected `\[N\]`, got `\[1, 3\]`"),
    ],
)
def test_the_client_reads_our_errors(client: Any, model: str, version: str, message: str) -> None:
    row = [_input("x", np.ones((1, 3), np.float32), binary=True)]
    with pytest.raises(InferenceServerException, match=message):
        client.infer(model, row, version)


def test_many_requests_in_flight(server: ServerProcess) -> None:
    client = triton.InferenceServerClient(server.address, concurrency=8)
    row = [_input("x", np.ones((1, 3), np.float32), binary=True)]
    waiting = [client.async_infer(name, row) for _ in range(20) for name in ("double", "classifier")]
    assert [answer.get_result().as_numpy("y").tolist() for answer in waiting] == [[[2.0, 2.0, 2.0]]] * 40
    client.close()


def test_the_asynchronous_client(server: ServerProcess) -> None:
    async def talk() -> None:
        async with triton_aio.InferenceServerClient(server.address) as client:
            assert await client.is_server_ready()
            assert (await client.get_server_metadata())["name"] == "adaptact"
            assert (await client.get_model_metadata("double", "2"))["platform"] == "onnxruntime_onnx"
            for binary in (False, True):
                inputs = [_input("INPUT0", LEFT, binary=binary), _input("INPUT1", RIGHT, binary=binary)]
                outputs = [triton_aio.InferRequestedOutput("OUTPUT0", binary_data=binary)]
                result = await client.infer("add_sub", inputs, outputs=outputs)
                assert np.array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
            with pytest.raises(InferenceServerException, match="Request for unknown model"):
                await client.infer("nope", inputs)
            with pytest.raises(InferenceServerException, match="Request for unknown model"):
                await client.get_model_metadata("nope")

    asyncio.run(talk())


def test_a_wrong_string_length_is_an_error_of_one_call(client: Any) -> None:
    lying = triton.InferInput("x", [1, 2], "BYTES")
    lying.set_data_from_numpy(_values("BYTES"), binary_data=True)
    lying._raw_data = struct.pack("<I", 2**31) + bytes(len(lying._raw_data) - 4)
    with pytest.raises(InferenceServerException, match="reaches beyond its tensor"):
        client.infer("identity-BYTES", [lying])
    assert (
        client.infer("identity-BYTES", [_input("x", _values("BYTES"), binary=True)]).as_numpy("y").size == 2
    )


CODINGS = [None, "gzip", "deflate"]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("request_coding", CODINGS)
@pytest.mark.parametrize("reply_coding", CODINGS)
def test_requests_and_replies_are_compressed_as_the_client_asks(
    server: ServerProcess,
    client: Any,
    asynchronous: bool,
    binary: bool,
    request_coding: str | None,
    reply_coding: str | None,
) -> None:
    left, right = np.tile(LEFT, (500, 1)), np.tile(RIGHT, (500, 1))
    inputs = [_input("INPUT0", left, binary=binary), _input("INPUT1", right, binary=True)]
    options = {
        "outputs": [triton.InferRequestedOutput("OUTPUT0", binary_data=binary)],
        "request_compression_algorithm": request_coding,
        "response_compression_algorithm": reply_coding,
    }

    async def talk() -> Any:
        async with triton_aio.InferenceServerClient(server.address) as connected:
            return await connected.infer("add_sub", inputs, **options)

    result = asyncio.run(talk()) if asynchronous else client.infer("add_sub", inputs, **options)
    assert np.array_equal(result.as_numpy("OUTPUT0"), left + right)


@pytest.mark.parametrize("binary", [False, True])
def test_the_highest_scores_are_told_with_their_classes(client: Any, binary: bool) -> None:
    scores = np.array([[1, 5, 3], [9, 0, 0]], np.float32)
    outputs = [triton.InferRequestedOutput("y", binary_data=binary, class_count=2)]
    got = client.infer("classifier", [_input("x", scores, binary=True)], outputs=outputs).as_numpy("y")
    assert [[_text(value) for value in row] for row in got] == [
        ["10.0:1:one", "6.0:2:two"],
        ["18.0:0:zero", "0.0:1:one"],
    ]


def test_the_parameters_of_a_request_are_taken(client: Any) -> None:
    row = [_input("x", np.ones((1, 3), np.float32), binary=True)]
    options = {"timeout": 5_000_000, "priority": 1, "parameters": {"mine": "x"}}
    assert client.infer("double", row, **options).as_numpy("y").tolist() == [[2.0] * 3]
    with pytest.raises(InferenceServerException, match=r"\[501\] the request: parameter `sequence_id`"):
        client.infer("double", row, sequence_id=7, sequence_start=True)


def test_numbers_without_a_json_form_are_refused_with_a_hint(client: Any) -> None:
    given = [_input("x", np.array([-1], np.float32), binary=True)]
    with pytest.raises(InferenceServerException, match=r"\[400\] .* ask for binary output"):
        client.infer("log", given, outputs=[triton.InferRequestedOutput("y", binary_data=False)])
    half = [_input("x", _values("BF16"), binary=True, datatype="BF16")]
    with pytest.raises(InferenceServerException, match="BF16 has no JSON form; ask for binary output"):
        client.infer("identity-BF16", half, outputs=[triton.InferRequestedOutput("y", binary_data=False)])


def test_an_alias_that_is_none_is_an_unknown_version(client: Any) -> None:
    row = [_input("x", np.ones((1, 3), np.float32), binary=True)]
    with pytest.raises(InferenceServerException, match=r"\[404\] Request for unknown model: `double`"):
        client.infer("double", row, "candidate")
