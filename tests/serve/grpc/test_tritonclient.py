"""The protocol's own gRPC client, unchanged, and every trap that it or its like has sent to servers."""

import asyncio
import queue
import struct
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from serve.engine.datatypes import DATATYPES
from tests.serve.grpc.running import Running
from tests.waiting import SECONDS

LEFT = np.arange(8, dtype=np.int32).reshape(2, 4)
RIGHT = np.ones((2, 4), np.int32)
ROW = np.ones((1, 3), np.float32)


@pytest.fixture
def client(grpc_server: Running) -> Iterator[Any]:
    """A client; whatever was sent, the server lives and answers right after."""
    connected = triton.InferenceServerClient(grpc_server.address)
    yield connected
    assert connected.is_server_live()
    assert connected.infer("double", [tensor("x", ROW)]).as_numpy("y").tolist() == [[2, 2, 2]]
    connected.close()


def tensor(name: str, array: np.ndarray[Any, Any], datatype: str | None = None) -> Any:
    made = triton.InferInput(name, list(array.shape), datatype or np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_ready()
    assert client.is_model_ready("double", "2")
    assert not client.is_model_ready("nope")
    assert not client.is_model_ready("double", "3")
    about = client.get_server_metadata()
    assert about.name == "adaptact"
    assert "model_repository" in about.extensions
    model = client.get_model_metadata("double", "1")
    assert (model.platform, list(model.versions)) == ("onnxruntime_onnx", ["1", "2", "10"])
    assert (model.inputs[0].datatype, list(model.outputs[0].shape)) == ("FP32", [-1, 3])


def test_configuration_statistics_and_settings(client: Any) -> None:
    config = client.get_model_config("add_sub").config
    assert (config.name, config.backend, config.input[0].data_type) == ("add_sub", "onnxruntime", 8)
    photos = client.get_model_config("photos", as_json=True)["config"]
    assert photos["input"][0]["format"] == "FORMAT_NCHW"
    client.infer("add_sub", [tensor("INPUT0", LEFT), tensor("INPUT1", RIGHT)])
    (statistics,) = client.get_inference_statistics("add_sub").model_stats
    assert statistics.inference_count >= 2
    assert statistics.inference_stats.success.count >= 1
    assert statistics.batch_stats[0].batch_size == 2
    assert len(client.get_inference_statistics().model_stats) > 5
    assert client.get_trace_settings("double").settings["trace_level"].value == ["OFF"]
    assert client.get_trace_settings(as_json=True)["settings"]["trace_rate"] == {"value": ["1000"]}
    assert (
        client.update_log_settings({"log_verbose_level": 1}).settings["log_verbose_level"].uint32_param == 1
    )
    assert client.update_log_settings({"log_verbose_level": 0}).settings["log_error"].bool_param
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED.* `trace_level` cannot be"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.* no setting of the log"):
        client.update_log_settings({"nope": 1})


@pytest.mark.slow
def test_the_repository(client: Any) -> None:
    states = {
        (model.name, model.version): model.state for model in client.get_model_repository_index().models
    }
    assert states["double", "10"] == "READY"
    client.unload_model("log")
    assert not client.is_model_ready("log")
    with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
        client.infer("log", [tensor("x", np.ones(1, np.float32))])
    client.load_model("log")
    assert client.is_model_ready("log")
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED.* files are not taken"):
        client.load_model("log", config="{}", files={"file:1/model.onnx": b"x"})
    with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
        client.load_model("log", config="[")
    with pytest.raises(InferenceServerException, match="NOT_FOUND"):
        client.load_model("nope")


def test_an_inference_with_all_that_goes_with_it(client: Any) -> None:
    inputs = [tensor("INPUT0", LEFT), tensor("INPUT1", RIGHT)]
    outputs = [triton.InferRequestedOutput("OUTPUT1"), triton.InferRequestedOutput("OUTPUT0")]
    result = client.infer(
        "add_sub", inputs, outputs=outputs, request_id="42", timeout=10**7, priority=1, headers={"x-a": "b"}
    )
    assert [output.name for output in result.get_response().outputs] == ["OUTPUT1", "OUTPUT0"]
    assert (result.get_response().id, result.get_response().model_version) == ("42", "1")
    assert np.array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT)
    assert np.array_equal(result.as_numpy("OUTPUT1"), LEFT - RIGHT)


def test_the_highest_scores_with_their_classes(client: Any) -> None:
    scores = np.array([[1, 3, 2]], np.float32)
    request = [triton.InferRequestedOutput("y", class_count=2)]
    array = client.infer("classifier", [tensor("x", scores)], outputs=request).as_numpy("y")
    assert array.tolist() == [[b"6.0:1:one", b"4.0:2:two"]]


def values(datatype: str) -> np.ndarray[Any, Any]:
    if datatype == "BYTES":
        return np.array([["", "naïve"]], np.object_)
    dtype = next(each.dtype for each in DATATYPES if each.name == datatype)
    return np.array([[0, 1]], ml_dtypes.bfloat16 if datatype == "BF16" else dtype)


@pytest.mark.parametrize("datatype", [each.name for each in DATATYPES])
def test_every_datatype_goes_there_and_back(client: Any, datatype: str) -> None:
    given = values(datatype)
    got = client.infer(f"identity-{datatype}", [tensor("x", given, datatype)]).as_numpy("y")
    plain = [value.decode() if isinstance(value, bytes) else value for value in got.ravel()]
    assert plain == given.ravel().tolist()


def test_numbers_that_are_none_and_an_empty_batch(client: Any) -> None:
    result = client.infer("log", [tensor("x", np.array([np.nan, 0, 1], np.float32))])
    assert np.array_equal(result.as_numpy("y"), [np.nan, -np.inf, 0], equal_nan=True)
    assert client.infer("double", [tensor("x", ROW[:0])]).as_numpy("y").shape == (0, 3)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_message_is_read(client: Any, algorithm: str) -> None:
    big = np.zeros((10_000, 3), np.float32)
    result = client.infer("double", [tensor("x", big)], compression_algorithm=algorithm)
    assert result.as_numpy("y").shape == (10_000, 3)


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("nope", "", "NOT_FOUND.* Request for unknown model: `nope` is not found"),
        ("double", "9", "NOT_FOUND.* Request for unknown model: `double` version `9` is not found"),
        ("log", "", r"INVALID_ARGUMENT.* input `x` has the wrong shape: expected `\[N\]`, got `\[1, 3\]`"),
    ],
)
def test_the_client_reads_our_errors(client: Any, model: str, version: str, message: str) -> None:
    with pytest.raises(InferenceServerException, match=message):
        client.infer(model, [tensor("x", ROW)], version)


def test_shared_memory_is_refused_in_words(client: Any) -> None:
    off = r"UNIMPLEMENTED.*shared memory is off; start the server with `--shared-memory`"
    with pytest.raises(InferenceServerException, match=off):
        client.get_system_shared_memory_status()
    with pytest.raises(InferenceServerException, match=off):
        client.register_system_shared_memory("r", "k", 12)
    with pytest.raises(InferenceServerException, match=r"UNIMPLEMENTED.* does not have this verb"):
        client.register_cuda_shared_memory("r", b"aGFuZGxl", 0, 8)
    elsewhere = triton.InferInput("x", [1, 3], "FP32")
    elsewhere.set_shared_memory("r", 12)
    with pytest.raises(InferenceServerException, match=off):
        client.infer("double", [elsewhere])


def test_repeated_and_missing_tensors_are_refused(client: Any) -> None:
    row = tensor("x", ROW)
    again = [triton.InferRequestedOutput("y")] * 2
    for inputs, outputs, message in (
        ([row, row], None, "input `x` already exists"),
        ([row], again, "output `y` already exists in the request"),
        ([row], [triton.InferRequestedOutput("z")], "no output `z`"),
        ([tensor("z", ROW)], None, "input `x` is missing"),
        ([tensor("x", ROW.astype(np.float64))], None, "wrong datatype"),
    ):
        with pytest.raises(InferenceServerException, match=message):
            client.infer("double", inputs, outputs=outputs)


def test_a_string_whose_length_lies_is_refused(client: Any) -> None:
    lying = tensor("x", values("BYTES"))
    lying._raw_content = struct.pack("<I", 2**31) + bytes(len(lying._raw_content) - 4)
    with pytest.raises(InferenceServerException, match="reaches beyond its tensor"):
        client.infer("identity-BYTES", [lying])


@pytest.mark.parametrize("shape", [[2**4, 2**60 + 2], [-1, 3], [2**62, 0]])
def test_a_shape_that_cannot_be_is_refused(client: Any, shape: list[int]) -> None:
    row = tensor("x", ROW)
    row.set_shape(shape)
    with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
        client.infer("double", [row])


def test_a_timeout_of_the_request_is_kept(client: Any) -> None:
    with pytest.raises(InferenceServerException, match=r"DEADLINE_EXCEEDED"):
        client.infer("slow", [tensor("x", np.ones(1, np.float32))], timeout=1000)


def test_a_stream_answers_in_order_and_goes_on_after_an_error(grpc_server: Running) -> None:
    came: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(grpc_server.address) as client:
        client.start_stream(callback=lambda result, error: came.put((result, error)))
        client.async_stream_infer(
            "double", [tensor("x", ROW)], request_id="1", enable_empty_final_response=True
        )
        client.async_stream_infer("nope", [tensor("x", ROW)], request_id="2")
        client.async_stream_infer("double", [tensor("x", 2 * ROW)], request_id="3")
        answers = [came.get(timeout=SECONDS) for _ in range(3)]
        client.stop_stream()
    assert answers[0][0].as_numpy("y").tolist() == [[2, 2, 2]]
    assert "unknown model" in str(answers[1][1])
    assert answers[2][0].as_numpy("y").tolist() == [[4, 4, 4]]
    assert [answers[0][0].get_response().id, answers[2][0].get_response().id] == ["1", "3"]


def test_many_calls_in_flight(client: Any) -> None:
    came: queue.Queue[Any] = queue.Queue()
    for _ in range(40):
        client.async_infer(
            "double", [tensor("x", ROW)], callback=lambda result, error: came.put((result, error))
        )
    results = [came.get(timeout=SECONDS) for _ in range(40)]
    assert [error for _, error in results if error] == []
    assert {tuple(result.as_numpy("y").ravel().tolist()) for result, _ in results} == {(2, 2, 2)}


def test_the_asynchronous_client(grpc_server: Running) -> None:
    async def talk() -> None:
        async with triton_aio.InferenceServerClient(grpc_server.address) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("double", "2")).name == "double"
            inputs = [tensor("INPUT0", LEFT), tensor("INPUT1", RIGHT)]
            results = await asyncio.gather(*(client.infer("add_sub", inputs) for _ in range(20)))
            assert all(np.array_equal(result.as_numpy("OUTPUT0"), LEFT + RIGHT) for result in results)
            with pytest.raises(InferenceServerException, match="Request for unknown model"):
                await client.infer("nope", inputs)

            async def requests() -> Any:
                for factor in (1, 2):
                    yield {"model_name": "double", "inputs": [tensor("x", factor * ROW)]}

            answers = [each async for each in client.stream_infer(requests())]
            assert [error for _, error in answers] == [None, None]
            assert answers[1][0].as_numpy("y").tolist() == [[4, 4, 4]]

    asyncio.run(talk())
