"""ONNX Runtime's execution providers: chosen by the operator, never silently replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import onnxruntime as ort

from serve.engine.errors import ProviderError

Provider: TypeAlias = Literal["cpu", "cuda"]
CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
SILENT = 4  # only fatal messages: errors arrive as exceptions, which the engine logs


@dataclass(frozen=True, slots=True)
class CudaOptions:
    """How a GPU is used."""

    device: int = 0
    memory_limit_bytes: int = 0
    """The limit of each session's ONNX Runtime arena; 0 for none."""
    tf32: bool = False
    """Whether matrices may be multiplied with 10 bits of mantissa: faster, but outside parity's bounds."""
    graph_rows: tuple[int, ...] = ()
    """Batch sizes that a CUDA graph is recorded for; smaller ones are padded to the next of them."""

    def native(self) -> dict[str, str]:
        """The options by ONNX Runtime's names.

        Source: ONNX Runtime, CUDA Execution Provider,
        https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html
        """
        options = {
            "device_id": str(self.device),
            # By powers of two, as it grows otherwise, the arena may take twice what is needed.
            "arena_extend_strategy": "kSameAsRequested",
            # An exhaustive search runs again for every new batch size, and takes seconds.
            "cudnn_conv_algo_search": "HEURISTIC",
            "use_tf32": "1" if self.tf32 else "0",
        }
        if self.memory_limit_bytes:
            options["gpu_mem_limit"] = str(self.memory_limit_bytes)
        if self.graph_rows:
            options["enable_cuda_graph"] = "1"
        return options


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


def provider_options(providers: tuple[str, ...], cuda: CudaOptions) -> list[Mapping[str, str]]:
    """The options of each provider, in the providers' order."""
    return [cuda.native() if name == CUDA else {} for name in providers]


def check_providers(expected: list[str], got: list[str]) -> None:
    """Raise `ProviderError` if ONNX Runtime fell back: it only warns when CUDA cannot start."""
    if expected[0] not in got:
        raise ProviderError(
            f"provider `{expected[0]}` was asked for, but ONNX Runtime started only {', '.join(got)}; "
            "check the driver, the CUDA and cuDNN libraries, and that a GPU is visible"
        )


def make_run_options() -> ort.RunOptions:
    """New options of one run: `terminate` ends it at its next operator."""
    options = ort.RunOptions()
    options.log_severity_level = SILENT
    return options
