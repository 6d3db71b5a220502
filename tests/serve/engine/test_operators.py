from pathlib import Path

import onnx
import onnxruntime as ort
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as native

from serve.engine.config import ModelConfig
from serve.engine.metrics import Metrics
from serve.engine.model import ServedModel
from serve.engine.operators import SIZED_BY_SHAPES
from tests.serve import models
from tests.serve.engine.loading import load_model, load_session

BRANCHES = """branches (bool b, float[N] x) => (float[N] y) {
    y = If(b) <
        then_branch = sine () => (float[N] s) { s = Sin(x) },
        else_branch = cosine () => (float[N] c) { c = Cos(x) }
    >
}"""
VALUES_DECIDE = {
    "Loop": models.TURNS,
    "If": BRANCHES,
    "Range": """m (int64 n) => (int64[N] y) {
        zero = Constant<value = int64 {0}>() one = Constant<value = int64 {1}>() y = Range(zero, n, one) }""",
    "ConstantOfShape": "m (int64[1] n) => (float[N] y) { y = ConstantOfShape(n) }",
    "Expand": "m (float[1] x, int64[1] n) => (float[N] y) { y = Expand(x, n) }",
    "Tile": "m (float[1] x, int64[1] n) => (float[N] y) { y = Tile(x, n) }",
    "Pad": "m (float[1] x, int64[2] n) => (float[N] y) { y = Pad(x, n) }",
    "Resize": "m (float[1, 1, 1, 1] x, int64[4] n) => (float[A, B, C, D] y) { y = Resize(x, , , n) }",
    "HannWindow": "m (int64 n) => (float[N] y) { y = HannWindow(n) }",
    "NonZero": "m (float[N] x) => (int64[1, M] y) { y = NonZero(x) }",
    "texts": "m (string[N] x) => (string[N] y) { y = Identity(x) }",
}
SHAPES_DECIDE = {
    "MLP": """m (float[N, 4] x) => (float[N, 2] y) {
        w = Constant<value = float[4, 2] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}>()
        b = Constant<value = float[2] {0.0, 0.0}>()
        h = Gemm(x, w, b)
        r = Relu(h)
        y = Softmax(r)
    }""",
    "CNN": """m (float[N, 1, 4, 4] x) => (float[N, 4] y) {
        w = Constant<value = float[1, 1, 2, 2] {1.0, 2.0, 3.0, 4.0}>()
        c = Conv<pads = [0, 0, 1, 1]>(x, w)
        l = LeakyRelu(c)
        p = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(l)
        y = Flatten(p)
    }""",
    # The shape is constant, so what fills it is folded before anything runs.
    "a constant": """m (float[N] x) => (float[N] y) {
        n = Constant<value = int64[1] {1}>()
        ones = ConstantOfShape<value = float[1] {1.0}>(n)
        y = Add(x, ones)
    }""",
}


@pytest.mark.parametrize("text", VALUES_DECIDE.values(), ids=VALUES_DECIDE)
def test_a_model_whose_time_depends_on_values_is_never_short(
    tmp_path: Path, metrics: Metrics, text: str
) -> None:
    model = load_model(tmp_path, models.model(text), metrics)
    for _ in range(100):
        model.cost.observe(1, seconds=0.0)
    assert not model.cost.is_short(1)


@pytest.mark.parametrize("text", SHAPES_DECIDE.values(), ids=SHAPES_DECIDE)
def test_a_model_whose_time_depends_on_shapes_alone_may_be_short(
    tmp_path: Path, metrics: Metrics, text: str
) -> None:
    model = load_model(tmp_path, models.model(text), metrics)
    for _ in range(100):
        model.cost.observe(1, seconds=0.0)
    assert model.cost.is_short(1)


def test_a_model_that_nests_a_loop_in_a_function_is_never_short(tmp_path: Path, metrics: Metrics) -> None:
    made = models.model("m (int64 n, float[N] x) => (float[N] y) { y = local.turns(n, x) }")
    made.functions.append(
        onnx.parser.parse_function(
            '<opset_import: ["" : 20], domain: "local">'
            + models.TURNS.replace("int64 n, float[N] x", "n, x", 1).replace("(float[N] y)", "(y)", 1)
        )
    )
    made.opset_import.append(onnx.helper.make_opsetid("local", 1))
    assert not load_model(tmp_path, made, metrics).cost.is_short(1)


def test_a_file_in_the_runtimes_own_format_is_never_short(tmp_path: Path, metrics: Metrics) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(models.model(models.TURNS).SerializeToString(), options)
    path = models.put(tmp_path, "m", (tmp_path / "model.ort").read_bytes())
    model = ServedModel("m", "1", load_session(path), metrics.for_version("m", "1"), ModelConfig())
    for _ in range(100):
        model.cost.observe(1, seconds=0.0)
    assert not model.cost.is_short(1)


def test_every_operator_of_the_list_exists() -> None:
    assert {schema.name for schema in native.get_all_operator_schema()} >= SIZED_BY_SHAPES
