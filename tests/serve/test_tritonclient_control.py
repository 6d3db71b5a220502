"""All of the protocol's own client but inference, unchanged, synchronous and asynchronous."""

import asyncio
import gc
import inspect
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from tests.serve import models
from tests.serve.process import ServerProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # gevent's own, on import


@pytest.fixture(scope="module", autouse=True)
def _quick_to_collect() -> Iterator[None]:
    """What is there already need not be looked at each time that what a client left is collected."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Caller:
    """Calls a method of the one client or the other, each time by a connection of its own."""

    def __init__(self, address: str, kind: str) -> None:
        self._address, self._kind = address, kind

    def __call__(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self._kind == "synchronous":
            client = triton.InferenceServerClient(self._address)
            try:
                return getattr(client, method)(*arguments, **options)
            finally:
                client.close()
        # It leaves answers unread whose status says enough, and warns of the connections that they hold.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                return asyncio.run(self._called(method, *arguments, **options))
            finally:
                gc.collect()

    async def _called(self, method: str, *arguments: Any, **options: Any) -> Any:
        async with triton_aio.InferenceServerClient(self._address) as client:
            answer = getattr(client, method)(*arguments, **options)
            return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("control")
    models.put(made, "photos", models.model(models.PHOTOS))
    for name in ("double", "other"):
        models.put(made, name, models.model(models.DOUBLE))
        models.put(made, name, models.model(models.DOUBLE), "2")
    return made


@pytest.fixture(scope="module")
def own(folder: Path) -> Iterator[ServerProcess]:
    with ServerProcess("--models", str(folder)) as started:
        yield started


@pytest.fixture(params=["synchronous", "asynchronous"])
def call(own: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Caller]:
    caller = Caller(own.address, request.param)
    yield caller
    assert caller("is_server_live")
    assert _doubled(caller) == [[2.0, 4.0, 6.0]]


def _doubled(call: Caller, version: str = "") -> Any:
    given = triton.InferInput("x", [1, 3], "FP32")
    given.set_data_from_numpy(np.array([[1, 2, 3]], np.float32))
    return call("infer", "double", [given], version).as_numpy("y").tolist()


@pytest.mark.slow
def test_the_index_has_every_version(call: Caller) -> None:
    index = call("get_model_repository_index")
    assert [(each["name"], each["version"], each["state"]) for each in index] == [
        *((name, version, "READY") for name in ("double", "other") for version in ("1", "2")),
        ("photos", "1", "READY"),
    ]


def test_a_model_is_unloaded_and_loaded(call: Caller) -> None:
    call("unload_model", "other", unload_dependents=True)
    assert not call("is_model_ready", "other")
    assert {each["state"] for each in call("get_model_repository_index") if each["name"] == "other"} == {
        "UNAVAILABLE"
    }
    call("load_model", "other")
    assert call("is_model_ready", "other")
    assert call("is_model_ready", "other", "2")


def test_a_model_is_loaded_with_another_configuration(call: Caller) -> None:
    before = call("get_model_config", "other")
    assert (before["name"], before["platform"]) == ("other", "onnxruntime_onnx")
    call("load_model", "other", config=json.dumps({"max_batch_size": 7}))
    assert call("get_model_config", "other", "1")["max_batch_size"] == 7
    call("load_model", "other")
    assert call("get_model_config", "other") == before


def test_an_image_client_learns_how_images_lie_in_an_input(call: Caller) -> None:
    assert call("get_model_config", "photos")["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [3, 4, 4], "format": "FORMAT_NCHW"}
    ]


@pytest.mark.parametrize(
    ("method", "arguments", "options", "message"),
    [
        ("load_model", ["nope"], {}, r"\[404\] failed to load `nope`: the models folder holds no such model"),
        ("unload_model", ["nope"], {}, r"\[404\] Request for unknown model: `nope` is not found"),
        ("load_model", ["other"], {"config": '{"x": 1}'}, r"\[400\] `x` cannot be configured"),
        ("load_model", ["other"], {"config": "{"}, r"\[400\] failed to load `other`: the text in"),
        ("get_model_config", ["nope"], {}, r"\[404\] Request for unknown model"),
        ("get_inference_statistics", ["nope"], {}, r"\[404\] Request for unknown model"),
        ("get_inference_statistics", ["double", "9"], {}, r"\[404\] Request for unknown model"),
        ("update_log_settings", [{"log_file": "x"}], {}, r"\[400\] `log_file` cannot be changed"),
        ("update_trace_settings", [], {"settings": {"trace_level": ["TIMESTAMPS"]}}, r"\[501\] traces"),
        ("get_trace_settings", ["nope"], {}, r"\[404\] Request for unknown model"),
        ("get_system_shared_memory_status", [], {}, r"\[501\] shared memory is off; start"),
        ("register_system_shared_memory", ["r", "k", 8], {}, r"\[501\] shared memory is off; start"),
        ("unregister_system_shared_memory", [], {}, r"\[501\] shared memory is off; start"),
        ("get_cuda_shared_memory_status", ["r"], {}, r"\[501\] CUDA shared memory is not supported"),
        ("unregister_cuda_shared_memory", ["r"], {}, r"\[501\] CUDA shared memory is not supported"),
    ],
)
def test_the_client_reads_every_refusal(
    call: Caller, method: str, arguments: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferenceServerException, match=message):
        call(method, *arguments, **options)


def test_files_are_not_taken(call: Caller) -> None:
    with pytest.raises(InferenceServerException, match=r"\[501\] files are not taken over the network"):
        call("load_model", "other", config="{}", files={"file:1/model.onnx": b"x"})


def test_statistics_count_what_was_asked(call: Caller) -> None:
    def count() -> int:
        reply = call("get_inference_statistics", "double", "1")["model_stats"]
        return int(reply[0]["inference_stats"]["success"]["count"])

    before = count()
    _doubled(call, "1")
    assert count() == before + 1
    everything = call("get_inference_statistics")["model_stats"]
    assert {each["name"] for each in everything} == {"double", "other", "photos"}


def test_the_logs_settings_are_read_and_changed(call: Caller) -> None:
    assert call("get_log_settings")["log_verbose_level"] == 0
    assert call("update_log_settings", {"log_verbose_level": 1})["log_verbose_level"] == 1
    assert call("update_log_settings", {"log_verbose_level": 0, "log_info": True})["log_info"] is True


def test_trace_settings_are_read_and_cleared(call: Caller) -> None:
    assert call("get_trace_settings")["trace_level"] == ["OFF"]
    assert call("get_trace_settings", "double")["trace_rate"] == "1000"
    assert call("update_trace_settings", settings={"trace_level": None})["trace_level"] == ["OFF"]


def test_the_server_says_which_extensions_work(call: Caller) -> None:
    extensions = call("get_server_metadata")["extensions"]
    assert {"binary_tensor_data", "classification", "model_repository", "statistics"} <= set(extensions)
