"""Weights alone in fewer bits: the layers that are rounded, the file's operators, and what they compute."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.external import count_weight_bytes
from convert.artefact.file import serialise
from convert.errors import ExportError, PrecisionError
from convert.model_io.array import Array
from convert.model_io.inputs import parse_input
from convert.parity.verify import Original
from convert.precision.budgets import BudgetOptions, Precision
from convert.precision.quantise import QuantisedModel, RoundingTask, quantise
from convert.precision.sites import RoundingSite
from convert.precision.weight_blocks import round_blocks
from convert.precision.weights import BITS, WeightsScheme
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from tests.convert.precision.networks import as_own_samples, build_network, build_original, make_samples

SPEC = parse_input("x:float32[N,300]")
PRECISIONS: tuple[Precision, ...] = ("weights-int8", "weights-int4")
keeps_small = pytest.mark.skipif(
    tuple(map(int, ort.__version__.split(".")[:2])) < (1, 31),
    reason="ONNX Runtime joins few layers before 1.31",
)
pytestmark = keeps_small
LOOSE = BudgetOptions(max_error=0.2, min_agreement=0.5)


class Rows(nn.Module):
    """Large layers of sizes that no block divides, two of which share weights; and a small one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.wide = nn.Linear(300, 261)
        self.shared = nn.Linear(261, 261, bias=False)
        self.product = nn.Parameter(torch.randn(261, 261) / 16)
        self.head = nn.Linear(261, 5)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 300] -> [N, 5]."""
        hidden = torch.relu(self.wide(x))
        hidden = hidden + torch.tanh(self.shared(hidden)) @ self.product
        result: Tensor = self.head(hidden + torch.tanh(self.shared(hidden)))
        return result


@cache
def _build() -> tuple[nn.Module, ir.Model]:
    model = Rows().eval()
    return model, optimise(export(model, [SPEC], ["y"], 21).model).model


@cache
def _quantise(precision: Precision, options: BudgetOptions = LOOSE) -> QuantisedModel:
    model, graph = _build()
    sets = as_own_samples(make_samples(SPEC, 40))
    return quantise(graph, Original(model, ["y"]), sets, RoundingTask(precision, options))


def _open(content: bytes, optimised: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(("precision", "share"), [("weights-int8", 0.36), ("weights-int4", 0.23)])
def test_the_file_is_standard_small_and_close(precision: Precision, share: float) -> None:
    model, graph = _build()
    rounded = _quantise(precision)
    proto = onnx.load_model_from_string(serialise(rounded.model))
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    assert (rounded.method, rounded.kept, rounded.sites) == (precision, (), 3)
    assert count_weight_bytes(rounded.model) < share * count_weight_bytes(graph)
    for batch in (1, 5):
        x = make_samples(SPEC, batch, seed=40 + batch)
        expected = model(torch.from_numpy(x)).detach().numpy()
        (result,) = _open(proto.SerializeToString()).run(None, {"x": x})
        assert result.dtype == np.float32
        assert np.abs(result - expected).max() < 0.15 * np.abs(expected).max()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_onnx_runtime_multiplies_by_the_small_weights(precision: Precision, tmp_path: Path) -> None:
    """Without that, it would make floats of all weights in every run."""
    _open(serialise(_quantise(precision).model), tmp_path / "optimised.onnx")
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    fused = [node for node in nodes if node.op_type == "MatMulNBits"]
    attributes = [{item.name: item.i for item in node.attribute} for node in fused]
    assert [(item["K"], item["bits"]) for item in attributes] == [
        (size, BITS[precision]) for size in (300, 261, 261, 261)
    ]
    assert "DequantizeLinear" not in {node.op_type for node in nodes}


def test_shared_weights_are_written_for_each_layer_and_small_ones_stay() -> None:
    weights = _quantise("weights-int8").model.graph.initializers
    whole = [value for value in weights.values() if value.dtype == ir.DataType.INT8]
    assert sorted(tuple(value.shape or ()) for value in whole) == [(261, 261)] * 3 + [(300, 261)]
    floats = [value.shape for value in weights.values() if value.dtype == ir.DataType.FLOAT]
    assert ir.Shape([5, 261]) in floats or ir.Shape([261, 5]) in floats


@pytest.mark.parametrize(("readers", "bits", "sites"), [(3, 8, 1), (4, 8, 0), (3, 4, 1), (4, 4, 0)])
def test_weights_that_many_layers_share_stay_as_they_are(readers: int, bits: int, sites: int) -> None:
    """Each layer has a copy: four of 8 bits, which any layer may have, are as large as one of floats."""
    chain = "".join(f"a{place + 1} = MatMul(a{place}, w) " for place in range(readers))
    body = f"a0 = MatMul(x, v) {chain} y = Relu(a{readers})"
    graph = parse_layers(body, np.ones((256, 256), np.float32))
    shared = [site for site in WeightsScheme(graph, {}, bits).sites if len(site.readers) == readers]
    assert len(shared) == sites


def test_a_layer_whose_four_bits_lose_too_much_has_eight() -> None:
    strict = _quantise("weights-int4", BudgetOptions(max_error=0.055, min_agreement=0.0))
    assert strict.kept
    types = {value.dtype for value in strict.model.graph.initializers.values()}
    assert {ir.DataType.INT4, ir.DataType.INT8} <= types
    assert strict.losses.losses[0].largest <= 0.055


def test_a_refusal_says_that_eight_bits_were_tried() -> None:
    with pytest.raises(PrecisionError, match="even with 2 of 3 places in 8 bits"):
        _quantise("weights-int4", BudgetOptions(max_error=1e-9))


def test_a_graph_without_large_layers_is_refused() -> None:
    _, spec, network = build_network("rows")
    sets = as_own_samples(make_samples(spec, 8))
    graph = network.clone()
    graph.opset_imports[""] = 21
    with pytest.raises(
        PrecisionError, match="no layer multiplies by 65,536 constant float32 weights or more"
    ):
        quantise(graph, build_original("rows"), sets, RoundingTask("weights-int4", BudgetOptions()))


def test_an_older_opset_is_refused() -> None:
    with pytest.raises(ExportError, match="need opset 21, and the graph has opset 20"):
        WeightsScheme(build_network("rows")[2], {}, 8)


GEMM = "y = Gemm<alpha = 0.5, beta = 2.0, transB = 1>(x, w, c)"
LAYERS = {
    "Gemm, weights transposed": (GEMM, (256, 300), True),
    "Gemm, input transposed": (
        "t = Transpose<perm = [1, 0]>(x) y = Gemm<transA = 1>(t, w)",
        (300, 256),
        False,
    ),
    "MatMul": ("y = MatMul(x, w)", (300, 256), True),
    "MatMul of a transposed constant": (
        "t = Transpose<perm = [1, 0]>(w) y = MatMul(x, t)",
        (256, 300),
        True,
    ),
    "read by another operator too": ("t = MatMul(x, w) u = Gather(w, i) y = Add(t, u)", (300, 256), True),
    "on the left": ("t = Transpose<perm = [1, 0]>(x) y = MatMul(w, t)", (256, 300), False),
    "a stack of matrices": ("y = MatMul(x, w)", (2, 300, 256), False),
}


def parse_layers(body: str, weights: Array) -> ir.Model:
    """A graph of `x`, weights `w` and `v`, a bias `c`, two bounds and an index, as the body reads them."""
    text = f'<ir_version: 10, opset_import: ["" : 21]> m (float[N, 300] x) => (float y) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    generator = np.random.default_rng(1)
    constants = {
        "w": weights,
        "v": generator.standard_normal((300, 256)).astype(np.float32) / 16,
        "c": np.linspace(-1, 1, 256, dtype=np.float32),
        "low": np.float32(-0.5),
        "high": np.float32(0.25),
        "i": np.array([3]),
    }
    read = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.asarray(numbers), name)
        for name, numbers in constants.items()
        if name in read
    )
    model = ir.from_proto(proto)
    for place, node in enumerate(model.graph):
        node.name = f"n{place}"
    return model


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("case", LAYERS)
def test_layers_read_their_weights_in_every_way(case: str, bits: int) -> None:
    body, shape, is_rounded = LAYERS[case]
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    graph = parse_layers(body, weights)
    scheme = WeightsScheme(graph, {}, bits)
    assert scheme.is_rounding(()) == is_rounded
    x = make_samples(SPEC, 7)
    rounded = scheme.round(())
    assert ("DequantizeLinear" in {node.op_type for node in rounded.graph}) == is_rounded
    read = {value for node in rounded.graph for value in node.inputs}
    assert set(rounded.graph.initializers.values()) <= read
    if is_rounded and "Gather" not in body:
        assert "w" not in rounded.graph.initializers
    (expected,) = _open(serialise(graph)).run(None, {"x": x})
    (result,) = _open(serialise(rounded)).run(None, {"x": x})
    assert np.abs(result - expected).max() <= (0.02 if bits == 8 else 0.2) * np.abs(expected).max()


JOINED = {
    "a sum": "a = MatMul(x, w) u = MatMul(x, v) y = Add(a, u)",
    "a bias and a sum": "a = MatMul(x, w) b = Add(a, c) u = MatMul(x, v) y = Add(b, u)",
    "Relu": "a = MatMul(x, w) b = Relu(a) u = MatMul(x, v) y = Mul(b, u)",
    "a bias and Relu": "a = MatMul(x, w) b = Add(a, c) d = Relu(b) u = MatMul(x, v) y = Mul(d, u)",
    "Gemm and Relu": "a = Gemm(x, w, c) b = Relu(a) u = MatMul(x, v) y = Mul(b, u)",
    "Gemm without a bias": "a = Gemm(x, w) b = Tanh(a) u = MatMul(x, v) y = Mul(b, u)",
    "Clip": "a = MatMul(x, w) b = Clip(a, low, high) u = MatMul(x, v) y = Mul(b, u)",
    "Clip from below": "a = MatMul(x, w) b = Clip(a, low) u = MatMul(x, v) y = Mul(b, u)",
    "Clip from above": "a = MatMul(x, w) b = Clip(a, , high) u = MatMul(x, v) y = Mul(b, u)",
    "Clip without bounds": "a = MatMul(x, w) b = Clip(a) u = MatMul(x, v) y = Mul(b, u)",
}


@pytest.mark.parametrize("case", JOINED)
def test_what_follows_a_layer_does_not_make_floats_of_its_weights(case: str, tmp_path: Path) -> None:
    weights = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32) / 16
    graph = parse_layers(JOINED[case], weights)
    rounded = WeightsScheme(graph, {}, 8).round(())
    session = _open(serialise(rounded), tmp_path / "optimised.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert operators.count("MatMulNBits") == 2
    assert "DequantizeLinear" not in operators
    x = make_samples(SPEC, 5)
    (expected,), (result,) = _open(serialise(graph)).run(None, {"x": x}), session.run(None, {"x": x})
    assert np.abs(result - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_weights_that_are_not_finite_stay_as_they_are(number: float) -> None:
    weights = np.ones((300, 256), np.float32)
    weights[7, 9] = number
    assert not WeightsScheme(parse_layers("y = MatMul(x, w)", weights), {}, 8).sites


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_of_zero_give_nothing(bits: int) -> None:
    graph = parse_layers("y = MatMul(x, w)", np.zeros((300, 256), np.float32))
    rounded = WeightsScheme(graph, {}, bits).round(())
    (result,) = _open(serialise(rounded)).run(None, {"x": 1e3 * make_samples(SPEC, 4)})
    assert np.abs(result).max() < 1e-30


def _restore(weights: Array, bits: int) -> Array:
    blocks = round_blocks(weights, bits)
    scale = np.repeat(blocks.scale.numpy(), blocks.block, axis=0)[: len(weights)]
    assert (scale > 0).all()
    restored: Array = blocks.whole.numpy().astype(np.float32) * scale
    return restored


@pytest.mark.parametrize(("bits", "error"), [(8, 0.008), (4, 0.09)])
@pytest.mark.parametrize("inputs", [1, 31, 32, 129, 300])
def test_blocks_keep_weights_to_their_bits(inputs: int, bits: int, error: float) -> None:
    weights = np.random.default_rng(inputs).standard_normal((inputs, 200)).astype(np.float32)
    assert np.square(_restore(weights, bits) - weights).mean() < error**2


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("number", [0.0, 1e-45, 1e-38, 3e38, -3e38])
def test_blocks_of_one_extreme_number(number: float, bits: int) -> None:
    weights = np.zeros((40, 3), np.float32)
    weights[:, 1] = number
    restored = _restore(weights, bits)
    np.testing.assert_allclose(restored, weights, rtol=0.08, atol=1e-37)


def test_a_large_matrix_is_rounded_as_its_parts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.random.default_rng(0).standard_normal((500, 70)).astype(np.float32)
    whole = _restore(weights, 4)
    monkeypatch.setattr("convert.precision.weight_blocks._CHUNK", 70 * 32 * 3)
    np.testing.assert_array_equal(_restore(weights, 4), whole)


def test_the_gate_ranks_layers_by_name() -> None:
    _, graph = _build()
    sites: Sequence[RoundingSite] = WeightsScheme(graph, {"wide": "Linear"}, 4).sites
    assert sites[0].layer == "wide"
    assert sites[0].kind == "Linear"
