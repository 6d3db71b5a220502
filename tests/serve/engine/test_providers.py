from pathlib import Path
from time import perf_counter, thread_time
from unittest.mock import Mock

import numpy as np
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnxruntime.capi import onnxruntime_pybind11_state as native

from adaptact.providers.catalogue import ProviderName, find_provider
from serve.engine.errors import InvalidInputError, ModelRefusedError, ProviderError
from serve.engine.processor_time import ProcessorTime
from serve.engine.providers import CudaOptions, require_provider
from serve.engine.session import SESSION_ERRORS, SessionOptions
from tests.openvino import require_openvino
from tests.serve import models
from tests.serve.engine.loading import load_session


def test_the_cpu_is_always_there() -> None:
    require_provider("cpu")


def test_a_provider_that_cannot_be_used_is_an_error_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderError, match=r"built without it; `.* install .*\[serve-cuda\]"):
        require_provider("cuda")


def test_a_run_is_timed_by_the_processor_only_where_one_thread_does_all(tmp_path: Path) -> None:
    require_openvino()
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    assert load_session(path).clock is thread_time
    assert load_session(path, SessionOptions(1, "openvino")).clock is thread_time
    assert load_session(path, SessionOptions(2, "openvino")).clock is perf_counter


def test_a_model_that_the_provider_gets_wrong_is_refused(tmp_path: Path) -> None:
    require_openvino()
    path = models.put(tmp_path, "m", models.model("g (string[N] x) => (string[N] y) { y = Identity(x) }"))
    with pytest.raises(ModelRefusedError, match="`openvino` gets texts wrong, which this model has; choose"):
        load_session(path, SessionOptions(1, "openvino"))


def test_whole_numbers_that_openvino_would_cut_are_refused(tmp_path: Path) -> None:
    require_openvino()
    path = models.put(tmp_path, "m", models.model("g (int64[N] x) => (int64[N] y) { y = Abs(x) }"))
    session = load_session(path, SessionOptions(1, "openvino"))
    assert session.run({"x": np.array([-(2**31 - 1)])}, ["y"])[0] == 2**31 - 1
    for number in (2**31, -(2**31) - 1):
        with pytest.raises(InvalidInputError, match=f"holds `{number}`, expected whole numbers from"):
            session.run({"x": np.array([number])}, ["y"])
        assert load_session(path).run({"x": np.array([number])}, ["y"])[0] == abs(number)


def test_a_size_that_is_free_in_name_only_is_refused_on_openvino(tmp_path: Path) -> None:
    """It would multiply with what lies behind the input."""
    require_openvino()
    product = models.model("g (float[N, A] x) => (float[N, 2] y) { y = MatMul(x, w) }")
    product.graph.initializer.append(numpy_helper.from_array(np.ones((1, 2), np.float32), "w"))
    path = models.put(tmp_path, "m", product)
    with pytest.raises(ModelRefusedError, match="input `x` leaves a size free that its layers do not"):
        load_session(path, SessionOptions(1, "openvino"))
    load_session(path)
    free = models.put(tmp_path, "free", models.model("g (float[N, A] x) => (float[N, A] y) { y = Relu(x) }"))
    session = load_session(free, SessionOptions(1, "openvino"))
    for shape in ((1, 1), (3, 2), (2, 5), (0, 5)):
        assert session.run({"x": np.ones(shape, np.float32)}, ["y"])[0].shape == shape


def test_operators_that_the_provider_lacks_are_counted(tmp_path: Path) -> None:
    require_openvino()
    text = "g (float[N, 2, 2] x) => (float[N] y) { z = Relu(x) y = Det(z) }"
    path = models.put(tmp_path, "m", models.model(text))
    assert load_session(path).count_elsewhere() == 0
    assert load_session(path, SessionOptions(1, "openvino")).count_elsewhere() == 1


def test_the_time_of_threads_that_work_for_all_models_is_not_known(tmp_path: Path) -> None:
    require_openvino()
    path = models.put(tmp_path, "m", models.model(models.DOUBLE))
    shared, own = (load_session(path, SessionOptions(2, name)).pool for name in ("openvino", "cpu"))
    assert shared is None
    assert own is not None
    timed = ProcessorTime(None)
    timed.wanted = 1
    timed.end(timed.begin())
    assert timed.estimate(1.0) is None


def test_bfloat16_is_taken_where_the_file_allows_it_and_the_provider_has_it(tmp_path: Path) -> None:
    require_openvino()
    product = models.model("g (float[N, 64] x) => (float[N, 64] y) { y = MatMul(x, w) }")
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    product.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    plain = models.put(tmp_path, "plain", product)
    allowed = models.put(tmp_path, "allowed", models.with_manifest(product, {"precision": "bf16"}))
    x = np.random.default_rng(1).normal(size=(8, 64)).astype(np.float32)
    exact = x.astype(np.float64) @ weights

    def find_error(path: Path, provider: ProviderName) -> float:
        (y,) = load_session(path, SessionOptions(1, provider)).run({"x": x}, ["y"])
        return float(np.abs(y.astype(np.float64) - exact).max() / np.abs(exact).max())

    assert max(find_error(plain, "openvino"), find_error(allowed, "cpu")) < 1e-6
    error = find_error(allowed, "openvino")
    assert error > 1e-4 if find_provider("openvino").computes("bf16") else error < 1e-6


def test_a_gpu_is_used_as_it_was_asked_for() -> None:
    options = CudaOptions(memory_limit_bytes=2**30, tf32=True, graph_rows=(1, 8)).native()
    assert options["gpu_mem_limit"] == str(2**30)
    assert options["use_tf32"] == "1"
    assert options["enable_cuda_graph"] == "1"


def test_a_gpu_computes_in_full_precision_unless_told_otherwise() -> None:
    options = CudaOptions().native()
    assert options["use_tf32"] == "0"
    assert "enable_cuda_graph" not in options
    assert "gpu_mem_limit" not in options


def test_a_session_that_loses_its_gpu_does_not_go_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's own wheel would print a line, start anew on the CPU, and answer from there."""
    session = load_session(models.put(tmp_path, "m", models.model(models.DOUBLE)))

    broken = Mock(**{"run.side_effect": native.EPFail("the device is gone")})
    broken.is_webgpu_graph_capture_enabled.return_value = False
    monkeypatch.setattr(session._session, "_sess", broken)
    with pytest.raises(SESSION_ERRORS, match="the device is gone"):
        session.run({"x": np.ones((1, 3), np.float32)}, ["y"])
