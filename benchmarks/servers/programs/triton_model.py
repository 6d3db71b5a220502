"""Triton's Python backend: all requests of a batch in one run of ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton

from benchmarks.servers.programs.session import open_session


class TritonPythonModel:
    """One ONNX file."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the file beside this one."""
        self._session = open_session(Path(__file__).with_name("model.onnx"))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run the model once for all requests."""
        arrays = [triton.get_input_tensor_by_name(request, "x").as_numpy() for request in requests]
        joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        output = self._session.run(None, {"x": joined})[0]
        replies, start = [], 0
        for array in arrays:
            rows = output[start : start + len(array)]
            start += len(array)
            replies.append(triton.InferenceResponse([triton.Tensor("y", rows)]))
        return replies
