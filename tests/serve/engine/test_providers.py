import onnxruntime as ort
import pytest

from serve.engine.errors import ProviderError
from serve.engine.providers import CPU, CUDA, check_providers, choose_providers


def test_the_cpu_is_always_there() -> None:
    assert choose_providers("cpu") == [CPU]


def test_cuda_in_a_build_without_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU])
    with pytest.raises(
        ProviderError, match="`cuda` was asked for, but this ONNX Runtime is built without it"
    ):
        choose_providers("cuda")


def test_cuda_loads_its_libraries_before_the_first_session(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "preload_dlls", lambda: loaded.append(True))
    assert choose_providers("cuda") == [CUDA, CPU]
    assert loaded == [True]


def test_a_silent_fall_back_to_the_cpu_is_an_error() -> None:
    check_providers([CUDA, CPU], [CUDA, CPU])
    with pytest.raises(ProviderError, match="started only CPUExecutionProvider"):
        check_providers([CUDA, CPU], [CPU])
