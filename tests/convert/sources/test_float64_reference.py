"""Each operator in float64 against the same computed by torch or numpy."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from torch.nn import functional as F

from convert.model_io.runtime import Session
from convert.sources.float64_reference import Float64Graph, MaxPool, convert_to_float64

Array = np.ndarray[Any, np.dtype[Any]]


def _parse(body: str, x: str, y: str, constants: str = "") -> onnx.ModelProto:
    text = f'<ir_version: 8, opset_import: ["": 18]> g ({x} x) => ({y} y) <{constants}> {{ {body} }}'
    return onnx.parser.parse_model(text)


def _add_weights(body: str, x: str, y: str, **weights: Array) -> onnx.ModelProto:
    proto = _parse(body, x, y)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in weights.items()
    )
    return proto


@pytest.mark.parametrize(
    ("options", "padding"),
    [
        ("pads = [1, 1, 1, 1]", (1, 1, 1, 1)),
        ("pads = [0, 1, 2, 0], strides = [2, 1]", (1, 0, 0, 2)),
        ('auto_pad = "SAME_UPPER", strides = [2, 1]', (1, 1, 0, 1)),
        ('auto_pad = "SAME_LOWER", strides = [2, 1]', (1, 1, 1, 0)),
        ('auto_pad = "VALID"', (0, 0, 0, 0)),
        ("dilations = [2, 1]", (0, 0, 0, 0)),
    ],
)
def test_a_convolution_matches_torch(options: str, padding: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(1)
    w, b = numbers.standard_normal((4, 3, 3, 3)).astype(np.float32), np.ones(4, np.float32)
    proto = _add_weights(f"y = Conv <{options}> (x, w, b)", "float[N,3,6,6]", "float[N,4,H,W]", w=w, b=b)
    x = numbers.standard_normal((2, 3, 6, 6))
    strides, dilations = ([2, 1] if "strides" in options else 1), ([2, 1] if "dilations" in options else 1)
    expected = F.conv2d(
        F.pad(torch.from_numpy(x), padding),
        torch.from_numpy(w).double(),
        torch.from_numpy(b).double(),
        strides,
        0,
        dilations,
    )
    np.testing.assert_allclose(
        Float64Graph(proto, ["x"]).run([x])["y"], expected.numpy(), rtol=1e-13, atol=1e-13
    )


@pytest.mark.parametrize(
    "options",
    [
        "strides = [3, 2], pads = [1, 0, 2, 1], output_padding = [2, 1]",
        "dilations = [2, 1], group = 2",
        'auto_pad = "SAME_UPPER", strides = [2, 2]',
        "",
    ],
)
def test_a_transposed_convolution_matches_onnx_runtime(options: str) -> None:
    numbers = np.random.default_rng(1)
    outputs = 4 if "group" in options else 2
    w, b = numbers.standard_normal((6, 2, 3, 3)).astype(np.float32), np.ones(outputs, np.float32)
    body = f"y = ConvTranspose <{options}> (x, w, b)".replace(" <>", "")
    proto = _add_weights(body, "float[N,6,5,5]", f"float[N,{outputs},H,W]", w=w, b=b)
    x = numbers.standard_normal((2, 6, 5, 5)).astype(np.float32)
    expected = Session(proto.SerializeToString(), ["x"]).run([x])["y"]
    found = Float64Graph(proto, ["x"]).run([x.astype(np.float64)])["y"]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", ["pads = [1, 0, 1, 1]", "ceil_mode = 1", "dilations = [2, 1]", ""])
def test_max_pooling_matches_onnx_runtime(options: str) -> None:
    attributes = ", ".join(part for part in ("kernel_shape = [2, 3], strides = [2, 2]", options) if part)
    proto = _parse(f"y = MaxPool <{attributes}> (x)", "float[N,2,7,7]", "float[N,2,H,W]")
    wide = Float64Graph(proto, ["x"])
    x = np.random.default_rng(3).standard_normal((2, 2, 7, 7)) - 4
    by_runtime = wide.run([x])["y"]
    wide._session = None
    wide._evaluator = ReferenceEvaluator(convert_to_float64(proto), new_ops=[MaxPool])
    np.testing.assert_array_equal(wide.run([x])["y"], by_runtime)


@pytest.mark.parametrize(
    ("body", "constants", "expected"),
    [
        ("y = Elu(x)", "", lambda x: np.where(x > 0, x, np.expm1(x))),
        ("c = Constant <value_float = 0.1> () y = Mul(x, c)", "", lambda x: x * np.float64(np.float32(0.1))),
        ("y = Mul(x, c)", "float[1] c = {0.1}", lambda x: x * np.float64(np.float32(0.1))),
        ("i = Cast <to = 7> (x) y = Cast <to = 1> (i)", "", lambda x: x.astype(np.int64).astype(np.float64)),
        (
            "y = GatherElements <axis = 1> (x, i)",
            "int64[2,1] i = {-1, 0}",
            lambda x: np.stack([x[0, -1:], x[1, :1]]),
        ),
        ("s = Shape(x) z = ConstantOfShape(s) y = Add(x, z)", "", lambda x: x),
        ('y = Resize <mode = "nearest"> (x, , c)', "float[2] c = {1, 2}", lambda x: np.repeat(x, 2, axis=1)),
    ],
)
def test_a_float64_graph_does_not_round_to_float32(body: str, constants: str, expected: Any) -> None:
    proto = _parse(body, "float[N,M]", "float[N,K]", constants)
    x = np.random.default_rng(2).standard_normal((3, 4)) * 3
    np.testing.assert_allclose(Float64Graph(proto, ["x"]).run([x])["y"], expected(x), rtol=1e-15)


def test_the_given_graph_stays_in_float32() -> None:
    proto = _parse("y = Mul(x, c)", "float[N]", "float[N]", "float[1] c = {0.1}")
    before = proto.SerializeToString()
    assert convert_to_float64(proto).graph.initializer[0].data_type == TensorProto.DOUBLE
    assert proto.SerializeToString() == before


def test_graphs_inside_nodes_are_float64() -> None:
    branch = "(float[N] z) { z = Mul(x, c) }"
    branches = f"then_branch = a () => {branch}, else_branch = b () => {branch}"
    body = f"t = ReduceSum <keepdims = 0> (x) k = Cast <to = 9> (t) y = If (k) <{branches}>"
    proto = _parse(body, "float[N]", "float[N]", "float[1] c = {0.1}")
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(
        Float64Graph(proto, ["x"]).run([x])["y"], x * np.float64(np.float32(0.1)), rtol=1e-15
    )
