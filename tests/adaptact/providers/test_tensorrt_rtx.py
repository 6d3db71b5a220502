"""TensorRT for RTX, of which ONNX Runtime and the package are played: no GPU is needed."""

import os
import sys
from pathlib import Path
from types import ModuleType

import onnxruntime as ort
import pytest

from adaptact.errors import ProviderError
from adaptact.providers.tensorrt_rtx import TF32, TensorRtRtxProvider
from tests.adaptact.providers.test_plug_in import Runtime, play


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set stays set in a process of its own, and not in that of the tests."""
    monkeypatch.delenv("ADAPTACT_TENSORRT_RTX_LIBRARY", raising=False)
    monkeypatch.setenv(TF32, "")
    monkeypatch.delenv(TF32)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "plugin.so"
    path.touch()
    monkeypatch.setenv("ADAPTACT_TENSORRT_RTX_LIBRARY", str(path))
    return path


def test_full_float32_is_asked_for_before_the_package_loads_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read the variable once."""
    seen: list[str | None] = []

    def locate() -> str:
        seen.append(os.environ.get(TF32))
        return str(tmp_path / "plugin.so")

    package = ModuleType("onnxruntime_ep_nv_tensorrt_rtx")
    package.get_library_path = locate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, package.__name__, package)
    runtime = play(Runtime("GPU"), monkeypatch)
    TensorRtRtxProvider().require()
    assert runtime.loaded == [str(tmp_path / "plugin.so")]
    assert seen == ["0"]


def test_what_the_operator_says_of_tf32_holds(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TF32, "1")
    assert TensorRtRtxProvider().find_library() == str(library)
    assert os.environ[TF32] == "1"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("kinds", [(), ("CPU",)])
def test_a_gpu_that_it_does_not_run_on_is_an_error(
    kinds: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(Runtime(*kinds), monkeypatch)
    with pytest.raises(ProviderError, match="finds nothing here") as caught:
        TensorRtRtxProvider().require()
    assert "compute capability 8.6" in str(caught.value.hint)


def test_one_of_several_gpus_is_taken(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play(Runtime("GPU", "GPU"), monkeypatch)
    assert library.exists()
    with pytest.raises(
        ProviderError, match="device 2 of provider `tensorrt-rtx` was asked for, and there are 2"
    ):
        TensorRtRtxProvider().open(b"", ort.SessionOptions(), device=2)


def test_without_a_driver_the_error_says_what_it_needs(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, path: str) -> None:
        raise RuntimeError("libcuda.so.1: cannot open shared object file")

    play(Runtime(), monkeypatch)
    monkeypatch.setattr(ort, "register_execution_provider_library", refuse)
    with pytest.raises(ProviderError, match=r"cannot be loaded: libcuda\.so\.1") as caught:
        TensorRtRtxProvider().require()
    assert str(library) in str(caught.value.hint)
    assert "driver of an NVIDIA GPU" in str(caught.value.hint)
