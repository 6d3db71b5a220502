"""Runs graphs with ONNX Runtime, as the server does."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from convert.errors import ExportError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]
PROVIDERS: Mapping[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ERRORS_ONLY = 3
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"
# Ampere and later multiply float32 with ten bits of it unless told not to.
_PROVIDER_OPTIONS: Mapping[str, dict[str, str]] = {"cuda": {"use_tf32": "0"}}


class Session:
    """One graph, its bytes or its file, loaded on one of PROVIDERS with all of ONNX Runtime's optimisations.

    The external data of bytes lie in `folder`. `threads` share an operator's work; for 0 ONNX Runtime chooses
    how many.
    Raises ExportError where ONNX Runtime refuses the graph, UsageError where it cannot use the provider.
    """

    def __init__(
        self,
        graph: bytes | Path,
        names: Sequence[str],
        provider: str = "cpu",
        *,
        folder: Path | None = None,
        threads: int = 0,
    ) -> None:
        wanted = available(provider)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        # Its threads would go on turning while torch's, which take turns with them here, need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if folder is not None:
            options.add_session_config_entry(_EXTERNAL_FOLDER, str(folder.resolve()))
        self._names = tuple(names)
        try:
            self._session = ort.InferenceSession(
                graph, options, providers=[(wanted, _PROVIDER_OPTIONS.get(provider, {}))]
            )
        except _REFUSALS as error:
            raise ExportError(
                f"ONNX Runtime refuses the graph: {_first_line(error)}",
                hint=_NO_KERNEL if isinstance(error, _NOT_IMPLEMENTED) else None,
            ) from error
        if wanted not in self._session.get_providers():
            raise UsageError(
                f"provider `{provider}` was asked for, but ONNX Runtime could not start it",
                hint="check the driver, the CUDA and cuDNN libraries, and that a GPU is visible",
            )
        self.outputs = tuple(output.name for output in self._session.get_outputs())

    def run(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """The outputs by name; the arrays stand in the order of the names given."""
        try:
            values = self._session.run(None, dict(zip(self._names, arrays, strict=True)))
        except _REFUSALS as error:
            shapes = [list(array.shape) for array in arrays]
            raise ExportError(
                f"ONNX Runtime cannot run the graph on {shapes}: {_first_line(error)}"
            ) from error
        return dict(zip(self.outputs, values, strict=True))


def available(provider: str) -> str:
    """ONNX Runtime's name of the provider; UsageError where this build has none of that name."""
    wanted = PROVIDERS.get(provider)
    if wanted is None:
        raise UsageError(f"provider `{provider}` is not known, expected one of: {', '.join(PROVIDERS)}")
    if wanted not in ort.get_available_providers():
        raise UsageError(
            f"provider `{provider}` was asked for, but this ONNX Runtime is built without it",
            hint="install onnxruntime-gpu in place of onnxruntime, or choose `cpu`",
        )
    if provider == "cuda":
        ort.preload_dlls()
    return wanted


_NOT_IMPLEMENTED = ort.capi.onnxruntime_pybind11_state.NotImplemented
_NO_KERNEL = "it may have the operator for float32 only: convert the model in that, with `model.float()`"
_REFUSALS = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.InvalidArgument,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    _NOT_IMPLEMENTED,
    ort.capi.onnxruntime_pybind11_state.RuntimeException,
)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500]
