"""Tiny ONNX models, written as text, and folders of them."""

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, parser

from convert.manifest.entries import MANIFEST_KEY
from serve.engine.datatypes import BY_NAME

HEADER = '<ir_version: 10, opset_import: ["" : 20]>\n'

DOUBLE = "double (float[N, 3] x) => (float[N, 3] y) { y = Add(x, x) }"
ADD_SUB = """add_sub (int32[N, 4] INPUT0, int32[N, 4] INPUT1) => (int32[N, 4] OUTPUT0, int32[N, 4] OUTPUT1) {
    OUTPUT0 = Add(INPUT0, INPUT1)
    OUTPUT1 = Sub(INPUT0, INPUT1)
}"""
LOG = "log (float[N] x) => (float[N] y) { y = Log(x) }"
TOTAL = "total (float[N, 3] x) => (float total) { total = ReduceSum<keepdims = 0>(x) }"
LOOKUP = """lookup (int64[N] index) => (float[N] y) {
    table = Constant<value = float[3] {1.0, 2.0, 3.0}>()
    y = Gather(table, index)
}"""
PHOTOS = "photos (float[N, 3, 4, 4] x) => (float[N, 3, 4, 4] y) { y = Identity(x) }"
UNKNOWN_OPERATOR = "unknown (float[N] x) => (float[N] y) { y = Nonsense(x) }"
# Each turn takes some 0.8 microseconds, and no optimiser removes it.
LOOP = """slow (float[N] x) => (float[N] y) {{
    turns = Constant<value = int64 {{{turns}}}>()
    go_on = Constant<value = bool {{1}}>()
    y = Loop(turns, go_on, x) <body = turn (int64 i, bool go, float[N] v) => (bool going, float[N] w) {{
        going = Identity(go)
        w = Sin(v)
    }}>
}}"""

# As often as the input `n` says.
TURNS = """turns (int64 n, float[N] x) => (float[N] y) {
    go_on = Constant<value = bool {1}>()
    y = Loop(n, go_on, x) <body = turn (int64 i, bool go, float[N] v) => (bool going, float[N] w) {
        going = Identity(go)
        w = Sin(v)
    }>
}"""


def model(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEADER + text)


def slow_model(turns: int) -> onnx.ModelProto:
    return model(LOOP.format(turns=turns))


def identity_model(datatype: str) -> onnx.ModelProto:
    """A model `x -> y` of shape [N, 2] that returns its input."""
    onnx_type = BY_NAME[datatype].onnx_type
    name = onnx_type.removeprefix("tensor(").removesuffix(")").upper()
    element = TensorProto.DataType.Value(name)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", element, ["N", 2])],
        [helper.make_tensor_value_info("y", element, ["N", 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def table_model(*, zipped: bool = False) -> onnx.ModelProto:
    """A table of classical learning: a number and a text, [N, 1] each, to a label and three scores, [N, 3].

    `low` where the number is at most 0.5, `green` is less than `red`. Where `zipped`, the scores are a
    dictionary.
    """
    encoder: dict[str, Any] = {
        "keys_strings": ["green", "red"],
        "values_floats": [-1.0, 1.0],
        "default_float": 0.0,
    }
    tree: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0, 0],
        "class_nodeids": [1, 2],
        "class_ids": [0, 1],
        "class_weights": [1.0, 1.0],
        "classlabels_strings": ["low", "high", "none"],
    }
    learning: Any = {"domain": "ai.onnx.ml"}
    nodes = [
        helper.make_node("LabelEncoder", ["colour"], ["code"], **learning, **encoder),
        helper.make_node("Add", ["amount", "code"], ["sum"]),
        helper.make_node("TreeEnsembleClassifier", ["sum"], ["label", "scores"], **learning, **tree),
    ]
    outputs = [helper.make_tensor_value_info("label", TensorProto.STRING, ["N"])]
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3])
    if zipped:
        labels: Any = {"classlabels_strings": ["low", "high", "none"]}
        nodes.append(helper.make_node("ZipMap", ["scores"], ["zipped"], **learning, **labels))
        entry = helper.make_map_type_proto(
            TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
        scores = helper.make_value_info("zipped", helper.make_sequence_type_proto(entry))
    inputs = [
        helper.make_tensor_value_info("amount", TensorProto.FLOAT, ["N", 1]),
        helper.make_tensor_value_info("colour", TensorProto.STRING, ["N", 1]),
    ]
    graph = helper.make_graph(nodes, "table", inputs, [*outputs, scores])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def with_manifest(made: onnx.ModelProto, manifest: object) -> onnx.ModelProto:
    made.metadata_props.add(key=MANIFEST_KEY, value=json.dumps(manifest))
    return made


def with_external_data(location: str) -> onnx.ModelProto:
    """A model whose weight is two floats in another file."""
    made = model("external (float[2] x) => (float[2] y) { y = Add(x, w) }")
    weight = made.graph.initializer.add(
        name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL
    )
    for key, value in {"location": location, "offset": "0", "length": "8"}.items():
        weight.external_data.add(key=key, value=value)
    return made


def put(folder: Path, name: str, made: onnx.ModelProto | bytes, version: str = "1") -> Path:
    """Write the model where a repository holds this version of it."""
    path = folder / name / version / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
    return path
