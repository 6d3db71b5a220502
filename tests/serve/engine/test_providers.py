from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from serve.engine.errors import ProviderError
from serve.engine.providers import CPU, CUDA, CudaOptions, check_providers, choose_providers, provider_options
from serve.engine.session import ORT_ERRORS
from tests.serve import models
from tests.serve.engine.loading import load_session


def test_the_cpu_is_always_there() -> None:
    assert choose_providers("cpu") == [CPU]


def test_cuda_in_a_build_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    with pytest.raises(
        ProviderError, match="`cuda` was asked for, but this ONNX Runtime is built without it"
    ):
        choose_providers("cuda")


def test_cuda_loads_its_libraries_before_the_first_session(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[bool] = []
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "preload_dlls", lambda: loads.append(True))
    assert choose_providers("cuda") == [CUDA, CPU]
    assert loads == [True]


def test_a_silent_fall_back_to_the_cpu_is_an_error() -> None:
    check_providers([CUDA, CPU], [CUDA, CPU])
    with pytest.raises(ProviderError, match="started only CPUExecutionProvider"):
        check_providers([CUDA, CPU], [CPU])


def test_a_gpu_is_used_as_it_was_asked_for() -> None:
    options = CudaOptions(device=1, memory_limit_bytes=2**30, tf32=True, graph_rows=(1, 8)).native()
    assert options["device_id"] == "1"
    assert options["gpu_mem_limit"] == str(2**30)
    assert options["use_tf32"] == "1"
    assert options["enable_cuda_graph"] == "1"


def test_a_gpu_computes_in_full_precision_unless_told_otherwise() -> None:
    options = CudaOptions().native()
    assert options["use_tf32"] == "0"
    assert "enable_cuda_graph" not in options
    assert "gpu_mem_limit" not in options


def test_only_cuda_has_options() -> None:
    assert provider_options((CUDA, CPU), CudaOptions(device=3))[0]["device_id"] == "3"
    assert provider_options((CUDA, CPU), CudaOptions())[1] == {}


def test_a_session_that_loses_its_gpu_does_not_go_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime's own wheel would print a line, start anew on the CPU, and answer from there."""
    session = load_session(models.put(tmp_path, "m", models.model(models.DOUBLE)))

    broken = Mock(**{"run.side_effect": native.EPFail("the device is gone")})
    broken.is_webgpu_graph_capture_enabled.return_value = False
    monkeypatch.setattr(session._session, "_sess", broken)
    with pytest.raises(ORT_ERRORS, match="the device is gone"):
        session.run({"x": np.ones((1, 3), np.float32)}, ["y"])
