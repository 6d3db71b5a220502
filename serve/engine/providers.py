"""ONNX Runtime's execution providers: chosen by the operator, never silently replaced."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import onnxruntime as ort

from adaptact.errors import ProviderError as UnusableError
from adaptact.errors import UnsuitableModelError
from adaptact.providers.catalogue import ProviderName, find_provider
from serve.engine.errors import ModelRefusedError, ProviderError

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


def require_provider(name: ProviderName) -> None:
    """Raise `ProviderError` where the provider cannot be used on this machine."""
    with explain_missing():
        find_provider(name).require()


@contextmanager
def explain_missing() -> Iterator[None]:
    """What a provider says of itself as `ProviderError`, of a model as `ModelRefusedError`."""
    try:
        yield
    except UnsuitableModelError as error:
        raise ModelRefusedError(f"{error}; {error.hint}") from error
    except UnusableError as error:
        raise ProviderError(f"{error}; {error.hint}" if error.hint else str(error)) from error


def make_run_options() -> ort.RunOptions:
    """New options of one run: `terminate` ends it at its next operator."""
    options = ort.RunOptions()
    options.log_severity_level = SILENT
    return options
