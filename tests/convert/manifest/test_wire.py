import contextlib

import onnx
import pytest
from onnx import TensorProto, helper

from convert.errors import SourceError
from convert.manifest.wire import find_locations, read_metadata


def external(name: str, location: str) -> TensorProto:
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location)):
        tensor.external_data.add(key=key, value=value)
    return tensor


def build_model() -> onnx.ModelProto:
    """Tensors of other files wherever a model has tensors."""
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=external("c", "in a branch"))], "inner", [], [y]
    )
    node = helper.make_node("If", ["k"], ["y"], then_branch=inner, else_branch=inner)
    graph = helper.make_graph([node], "g", [], [y], [external("w", "an initializer")])
    sparse = graph.sparse_initializer.add()
    sparse.values.CopyFrom(external("s", "sparse values"))
    sparse.indices.CopyFrom(external("i", "sparse indices"))
    model = helper.make_model(graph)
    function = model.functions.add(name="f", domain="d")
    function.node.append(helper.make_node("Constant", [], ["y"], value=external("f", "in a function")))
    for key, value in (("location", "no tensor's"), ("a", "first"), ("a", "é")):
        model.metadata_props.add(key=key, value=value)
    return model


def test_every_file_of_weights_is_found() -> None:
    assert find_locations(build_model().SerializeToString()) == {
        *("in a branch", "an initializer", "sparse values", "sparse indices", "in a function")
    }


def test_the_metadata_are_read() -> None:
    assert read_metadata(build_model().SerializeToString()) == {"location": "no tensor's", "a": "é"}


@pytest.mark.parametrize(
    "content", [b"\x08", b"\x72\xff\xff\xff\xff\x0f", b"\xff" * 20, b"\x0b", b"PK\x03\x04"]
)
def test_what_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(SourceError, match="the file is not an ONNX model: "):
        find_locations(content)


def test_messages_are_of_a_bounded_depth() -> None:
    content = b""
    for _ in range(60):
        for number in (6, 5, 1):  # a graph in an attribute in a node in a graph
            size = len(content)
            length = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
            content = bytes([number << 3 | 2]) + length + content
    content = bytes([7 << 3 | 2]) + bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) + content
    with pytest.raises(SourceError, match="more than 64 deep"):
        find_locations(content)


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_truncated_model_never_breaks_the_check(cut: int) -> None:
    content = build_model().SerializeToString()
    with contextlib.suppress(SourceError):
        find_locations(content[:-cut])
