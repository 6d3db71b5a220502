"""What convert.graph.layout says against what ONNX Runtime does: leaving it is a ReorderOutput."""

from pathlib import Path

import onnx
import onnxruntime as ort
import pytest

from convert.artefact.file import serialise
from convert.graph.layout import is_blocked
from tests.convert.graphs import parse_graph, write_constant, write_graph

WIDE = "float[N,16,6,6]"
CONV = "Conv<pads = [1,1,1,1]>"
CONSTANTS = (
    write_constant("w", 16, 16, 3, 3),
    write_constant("s", 16, 1, 1),
    write_constant("b", 16),
    write_constant("t"),
)
VALUES = {
    "Relu(c)": True,
    "LeakyRelu(c)": True,
    "Gelu(c)": True,
    "HardSwish(c)": True,
    "Mul(c, s)": True,
    "BatchNormalization(c, b, b, b, v)": True,
    "MaxPool<kernel_shape = [3,3], pads = [1,1,1,1]>(c)": True,
    "Exp(c)": False,
    "Elu(c)": False,
    "Abs(c)": False,
    "Max(c, t)": False,
}


def _count_copies(body: str, folder: Path) -> int:
    """How often ONNX Runtime copies out of the layout, the last time aside."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    model = parse_graph(_write_body(body))
    ort.InferenceSession(serialise(model), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]
    if "ReorderOutput" not in operators:
        pytest.skip("ONNX Runtime has no blocked layout on this machine")
    return operators.count("ReorderOutput") - 1


def _write_body(body: str) -> str:
    variance = write_constant("v", 16, values=f"{{{', '.join(['0.5'] * 16)}}}")
    return write_graph(f"c = {CONV}(x, w) {body} y = {CONV}(m, w)", *CONSTANTS, variance, x=WIDE, y=WIDE)


@pytest.mark.parametrize("call", VALUES)
def test_it_agrees_with_onnx_runtime(call: str, tmp_path: Path) -> None:
    body = f"m = {call}"
    value = next(
        node.outputs[0] for node in parse_graph(_write_body(body)).graph if node.outputs[0].name == "m"
    )
    assert is_blocked(value) is VALUES[call]
    assert (_count_copies(body, tmp_path) == 0) is VALUES[call]


def test_a_leaky_relu_behind_no_convolution_leaves_it(tmp_path: Path) -> None:
    body = "l = LeakyRelu(c) m = Add(l, c)"
    values = {node.outputs[0].name: node.outputs[0] for node in parse_graph(_write_body(body)).graph}
    assert not is_blocked(values["l"])
    assert _count_copies(body, tmp_path) > 0
