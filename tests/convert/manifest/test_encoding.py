import numpy as np
import onnx
import onnxruntime as ort
from onnx.parser import parse_model

from convert.manifest.encoding import encode_outputs

CONTENT = parse_model(
    """<ir_version: 10, opset_import: ["": 20]> net (float[N, 2] x) => (float[N, 2] y)
    { inner = Add(x, x) whole = Cast<to = 7>(inner) back = Cast<to = 1>(whole) y = Mul(inner, back) }"""
).SerializeToString()


def test_tensors_inside_a_graph_are_given_out_too() -> None:
    content = CONTENT + encode_outputs(["inner", "whole"])
    session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert [(each.name, each.type) for each in session.get_outputs()] == [
        ("y", "tensor(float)"),
        ("inner", "tensor(float)"),
        ("whole", "tensor(int64)"),
    ]
    y, inner, whole = session.run(None, {"x": np.array([[1.5, -2.0]], np.float32)})
    np.testing.assert_array_equal(inner, [[3, -4]])
    np.testing.assert_array_equal(whole, [[3, -4]])
    np.testing.assert_array_equal(y, [[9, 16]])


def test_the_bytes_are_those_of_protobuf() -> None:
    """Also for a name that is longer than one byte can say."""
    names = ["inner", "ü" * 200]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    assert encode_outputs(names) == onnx.ModelProto(graph=onnx.GraphProto(output=outputs)).SerializeToString()


def test_no_names_are_no_bytes() -> None:
    assert encode_outputs([]) == b""
