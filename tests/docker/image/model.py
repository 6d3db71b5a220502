"""The smallest model that is a real one: a dense layer with a leaky ReLU, and what it must answer."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

NAME = "tiny"
SLOPE = 0.25
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) / 10 - 0.5
SAMPLES = np.array([[1, 2, 3, 4], [-1, 0.5, 0, -2]], dtype=np.float32)


def write_model(models: Path) -> None:
    """The repository `models` holds version 1 of the model, readable by everyone."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "weight"], ["sum"]),
            helper.make_node("LeakyRelu", ["sum"], ["y"], alpha=SLOPE),
        ],
        NAME,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(WEIGHT, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    path = models / NAME / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    for part in (models, models / NAME, path.parent):
        part.chmod(0o755)
    path.chmod(0o644)


def request() -> dict[str, object]:
    """The Open Inference Protocol's request for the samples."""
    tensor = {"name": "x", "datatype": "FP32", "shape": SAMPLES.shape, "data": SAMPLES.ravel().tolist()}
    return {"inputs": [tensor]}


def expected() -> NDArray[np.float32]:
    """The model's answer by numpy."""
    total = SAMPLES @ WEIGHT
    return np.where(total > 0, total, SLOPE * total)
