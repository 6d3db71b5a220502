"""LitServe: the v2 JSON by hand, since it leaves the message to the user."""

import os
from pathlib import Path
from typing import Any

import litserve
import numpy as np

from benchmarks.servers.programs.session import open_session


class OnnxApi(litserve.LitAPI):  # type: ignore[misc]  # untyped here, where LitServe is not installed
    """One ONNX file."""

    def setup(self, device: str) -> None:
        """Load the file in the worker."""
        self._session = open_session(os.environ["MODEL"])

    def decode_request(self, request: dict[str, Any]) -> np.ndarray[Any, Any]:
        """The tensor of the request."""
        entry = request["inputs"][0]
        return np.asarray(entry["data"], np.float32).reshape(entry["shape"])

    def predict(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Run the model on one tensor."""
        name = self._session.get_inputs()[0].name
        output: np.ndarray[Any, Any] = self._session.run(None, {name: x})[0]
        return output

    def encode_response(self, output: np.ndarray[Any, Any]) -> dict[str, Any]:
        """The tensor of the answer."""
        described = {"name": "y", "datatype": "FP32", "shape": output.shape, "data": output.ravel().tolist()}
        return {"outputs": [described]}


if __name__ == "__main__":
    path = Path(os.environ["MODEL"])
    api = OnnxApi(api_path=f"/v2/models/{path.parents[1].name}/infer")
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=int(os.environ["WORKERS"]), timeout=30
    )
    server.run(
        port=int(os.environ["PORT"]), log_level="warning", generate_client_file=False, access_log=False
    )
