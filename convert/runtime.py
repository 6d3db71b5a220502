"""Runs graphs with ONNX Runtime, as the server does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from convert.errors import ExportError

Array = np.ndarray[Any, np.dtype[Any]]

_ERRORS_ONLY = 3


class Session:
    """One graph, loaded on the CPU with every optimisation that ONNX Runtime has."""

    def __init__(self, graph: bytes, names: Sequence[str]) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Its threads would go on turning while torch's, which take turns with them here, need the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._names = tuple(names)
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except _REFUSALS as error:
            raise ExportError(f"ONNX Runtime refuses the graph: {_first_line(error)}") from error
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


_REFUSALS = (
    ort.capi.onnxruntime_pybind11_state.Fail,
    ort.capi.onnxruntime_pybind11_state.InvalidArgument,
    ort.capi.onnxruntime_pybind11_state.InvalidGraph,
    ort.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    ort.capi.onnxruntime_pybind11_state.NotImplemented,
    ort.capi.onnxruntime_pybind11_state.RuntimeException,
)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:500]
