"""What ONNX Runtime runs on: chosen by the operator, never replaced in silence."""

from typing import Literal, TypeAlias

import onnxruntime as ort

from serve.engine.errors import ProviderError

Provider: TypeAlias = Literal["cpu", "cuda"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"


def choose_providers(provider: Provider) -> list[str]:
    """ONNX Runtime's providers, the chosen one first; raises `ProviderError` if this build lacks it."""
    if provider == "cpu":
        return [CPU]
    if CUDA not in ort.get_available_providers():
        raise ProviderError(
            "provider `cuda` was asked for, but this ONNX Runtime is built without it; "
            "install `adaptact[serve-cuda]` in place of `adaptact[serve]`, or choose `cpu`"
        )
    ort.preload_dlls()
    return [CUDA, CPU]


def check_providers(wanted: list[str], got: list[str]) -> None:
    """Raise `ProviderError` if ONNX Runtime fell back: it only warns when CUDA cannot start."""
    if wanted[0] not in got:
        raise ProviderError(
            f"provider `{wanted[0]}` was asked for, but ONNX Runtime started only {', '.join(got)}; "
            "check the driver, the CUDA and cuDNN libraries, and that a GPU is visible"
        )
