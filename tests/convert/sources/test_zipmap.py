"""ZipMap, which makes dictionaries of probabilities."""

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from convert.sources.zipmap import read_classes, remove_zipmaps


def _make(*labels: list[str] | list[int]) -> onnx.ModelProto:
    """p [N, 2] -> a list of dictionaries for each of the labels."""
    nodes: list[onnx.NodeProto] = []
    outputs: list[onnx.ValueInfoProto] = []
    for place, own in enumerate(labels):
        kind = "classlabels_strings" if isinstance(own[0], str) else "classlabels_int64s"
        nodes.append(helper.make_node("ZipMap", ["p"], [f"z{place}"], domain="ai.onnx.ml"))
        nodes[-1].attribute.append(helper.make_attribute(kind, own))
        key = TensorProto.STRING if isinstance(own[0], str) else TensorProto.INT64
        value = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        maps = helper.make_sequence_type_proto(helper.make_map_type_proto(key, value))
        outputs.append(helper.make_value_info(f"z{place}", maps))
    inputs = [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 2])]
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, "zip", inputs, outputs)
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def test_a_zipmap_gives_its_columns_in_the_order_of_the_classes() -> None:
    model = _make(["no", "yes"])
    x = np.asarray([[0.25, 0.75], [1.0, 0.0]], np.float32)
    (dictionaries,) = ort.InferenceSession(model.SerializeToString()).run(None, {"p": x})
    classes = read_classes(model)
    notes = remove_zipmaps(model)
    (tensor,) = ort.InferenceSession(model.SerializeToString()).run(None, {"p": x})
    assert classes == ("no", "yes")
    assert notes == ("`z0` is a tensor: its ZipMap was removed, its columns are the classes",)
    assert [dict(zip(classes, row, strict=True)) for row in tensor.tolist()] == dictionaries
    onnx.checker.check_model(model)


def test_whole_numbers_are_classes_too() -> None:
    assert read_classes(_make([7, -1])) == ("7", "-1")


def test_different_classes_are_none_of_the_models() -> None:
    model = _make(["a", "b"], ["c", "d"])
    assert read_classes(model) is None
    assert len(remove_zipmaps(model)) == 2


def test_a_model_without_one_is_left_alone() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N] x) => (float[N] y) { y = Relu(x) }'
    )
    before = model.SerializeToString()
    assert (read_classes(model), remove_zipmaps(model)) == (None, ())
    assert model.SerializeToString() == before
