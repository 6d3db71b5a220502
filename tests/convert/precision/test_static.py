from functools import cache

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from convert.artefact.file import serialise
from convert.graph.nodes import get_constant
from convert.manifest.records import SYMMETRIC
from convert.model_io.array import Array
from convert.model_io.inputs import InputSpec, parse_input
from convert.model_io.runtime import Session
from convert.precision.static import StaticScheme
from convert.precision.static_ways import make_plain_scheme, make_static_schemes
from tests.convert.models import optimise_model
from tests.convert.precision.networks import (
    as_own_samples,
    build_network,
    list_operators,
    make_samples,
    read_graph,
)
from tests.openvino import require_openvino

PICTURE = parse_input("picture:float32[N,3,16,16]")


class Patches(nn.Module):
    """Patches of a picture as the tokens of a transformer, with one learned token before them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.project = nn.Conv2d(3, 8, 4, 4)
        self.project.bias.data += 1  # type: ignore[union-attr]
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, 16, 16] -> [N, 17, 4]."""
        patches = self.project(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1)
        scores: Tensor = self.last(torch.tanh(tokens))
        return scores


@cache
def build_patches() -> tuple[nn.Module, InputSpec, ir.Model]:
    model = Patches().eval()
    return model, PICTURE, optimise_model(model, PICTURE).model


def _make_scheme(network: tuple[nn.Module, InputSpec, ir.Model], provider: str) -> StaticScheme:
    _, spec, graph = network
    samples = as_own_samples(make_samples(spec, 64))
    return make_static_schemes(graph, {}, samples, provider)[0]


def _list_rounded(graph: ir.Model) -> set[str]:
    """The values that are rounded while the graph runs."""
    return {node.inputs[0].name or "" for node in graph.graph if node.op_type == "QuantizeLinear"}  # type: ignore[union-attr]


def _list_read(graph: ir.Model) -> set[str]:
    """The rounded values that a layer reads."""
    return {
        pair.inputs[0].producer().inputs[0].name or ""  # type: ignore[union-attr]
        for node in graph.graph
        if node.op_type in ("Conv", "Gemm", "MatMul")
        for pair in [node.inputs[0].producer()]  # type: ignore[union-attr]
        if pair is not None
    }


def _run(graph: ir.Model, x: Array, provider: str = "cpu") -> Array:
    names = [value.name or "" for value in graph.graph.inputs]
    (result,) = Session(serialise(graph), names, provider).run([x]).values()
    return result


def _compute(model: nn.Module, x: Array) -> Array:
    result: Array = model(torch.from_numpy(x)).detach().numpy()
    return result


@pytest.mark.slow
def test_for_openvino_only_what_layers_read_is_rounded() -> None:
    network = build_network("images")
    for_openvino = _make_scheme(network, "openvino").round(())
    rounded = _list_rounded(for_openvino)
    assert rounded < _list_rounded(_make_scheme(network, "cpu").round(()))
    assert _list_read(for_openvino) <= rounded
    x = make_samples(network[1], 8, 9)
    expected = _compute(network[0], x)
    assert np.abs(_run(for_openvino, x) - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.slow
def test_for_openvino_a_layer_before_a_float_place_is_rounded() -> None:
    network = build_network("images")
    for provider, count in (("openvino", 1), ("cpu", 2)):
        scheme = _make_scheme(network, provider)
        site = next(site for site in scheme.sites if site.writers)
        before, after = _count_weights(scheme.round(())), _count_weights(scheme.round([site]))
        assert before - after == count


class Clipped(nn.Module):
    """Layers behind numbers of both signs, numbers from 0 on, and a clip of which the bounds differ."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.third, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 8] -> [N, 4]."""
        x = torch.relu(self.second(torch.tanh(self.first(x) + 1)))
        scores: Tensor = self.last(self.third(x).clamp(-0.25, 1.0))
        return scores


def _find_zero_points(graph: ir.Model) -> dict[str, tuple[int, bool]]:
    """The whole number that stands for 0, and whether there are negative ones, by the rounded value."""
    zeros = {}
    for node in graph.graph:
        if node.op_type == "QuantizeLinear" and node.inputs[0] is not None:
            zero = np.asarray(get_constant(node.inputs[2]))
            zeros[node.inputs[0].name or ""] = (int(zero), zero.dtype == np.int8)
    return zeros


@pytest.mark.parametrize(
    ("provider", "has_tiles", "symmetric"),
    [("cpu", True, []), ("openvino", False, []), ("openvino", True, [True])],
)
def test_ranges_are_symmetric_first_where_they_are_faster(
    provider: str, has_tiles: bool, symmetric: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then whole numbers have a sign, but those that stand for numbers from 0 on, or for a clip's."""
    monkeypatch.setattr("convert.precision.static_ways.multiplies_tiles", lambda: has_tiles)
    spec = parse_input("rows:float32[N,8]")
    graph = optimise_model(Clipped().eval(), spec).model
    samples = as_own_samples(make_samples(spec, 64) + 1)
    schemes = make_static_schemes(graph, {}, samples, provider)
    names = [scheme.ranges_by or "" for scheme in schemes]
    assert [name.endswith(SYMMETRIC) for name in names] == [*symmetric, False, False]
    points = [_find_zero_points(scheme.round(())) for scheme in schemes]
    assert [found["rows"] == found["tanh"] == (0, True) for found in points] == [*symmetric, False, False]
    assert {found["relu"] for found in points} == {(0, False)}
    assert len({found["clamp"] for found in points}) == 1


class Attention(nn.Module):
    """Tokens that read each other, by numbers of both signs or, with `keys` cut off at 0, by others too."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cut = cut
        self.query, self.key, self.value = (nn.Linear(8, 8) for _ in range(3))
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 6, 8] -> [N, 6, 4]."""
        key = torch.relu(self.key(x)) if self.cut else self.key(x)
        shares = torch.softmax(self.query(x) @ key.transpose(1, 2), 2)
        scores: Tensor = self.last(shares @ self.value(x))
        return scores


TOKENS = parse_input("tokens:float32[N,6,8]")


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("has_tiles", [False, True])
def test_for_openvino_attention_is_rounded_in_symmetric_ranges(
    cut: bool, has_tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.precision.static_ways.multiplies_tiles", lambda: has_tiles)
    model = Attention(cut).eval()
    graph, x = optimise_model(model, TOKENS).model, make_samples(TOKENS, 64)
    expected = _compute(model, x)
    for scheme in make_static_schemes(graph, {}, as_own_samples(x), "openvino"):
        rounded = scheme.round(())
        products = [node for node in rounded.graph if node.op_type == "MatMul" and not _reads_weights(node)]
        zeros = [
            int(get_constant(value.producer().inputs[2]))  # type: ignore[arg-type, union-attr]
            for node in products
            for value in node.inputs
        ]
        assert zeros == [0] * 4
        assert np.abs(_run(rounded, x) - expected).max() < 0.03 * np.abs(expected).max()


def test_for_the_cpu_products_of_computed_matrices_stay_in_float() -> None:
    model = Attention(cut=False).eval()
    graph, x = optimise_model(model, TOKENS).model, make_samples(TOKENS, 64)
    rounded = make_static_schemes(graph, {}, as_own_samples(x))[0].round(())
    products = [node for node in rounded.graph if node.op_type == "MatMul" and not _reads_weights(node)]
    read = {value.producer().op_type for node in products for value in node.inputs}  # type: ignore[union-attr]
    assert (len(products), "DequantizeLinear" in read) == (2, False)


def _reads_weights(node: ir.Node) -> bool:
    """Whether it multiplies by constant weights, rounded or not."""
    value = node.inputs[1]
    pair = None if value is None else value.producer()
    if pair is not None and pair.op_type == "DequantizeLinear":
        value = pair.inputs[0]
    return get_constant(value) is not None


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.slow
def test_openvino_computes_rounded_attention(cut: bool) -> None:
    require_openvino()
    model = Attention(cut).eval()
    graph, x = optimise_model(model, TOKENS).model, make_samples(TOKENS, 64)
    expected = _compute(model, x)
    for scheme in make_static_schemes(graph, {}, as_own_samples(x), "openvino"):
        result = _run(scheme.round(()), x, "openvino")
        assert np.abs(result - expected).max() < 0.03 * np.abs(expected).max()


class Averaged(nn.Module):
    """What a layer reads, and its mean beside it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        """[N, 6, 8] -> [N, 7, 4]."""
        bent = torch.tanh(self.first(x))
        scores: Tensor = torch.cat([self.last(bent), bent.mean(1, keepdim=True)[..., :4]], 1)
        return scores


def _find_what_means_read(graph: ir.Model) -> str:
    (mean,) = [node for node in graph.graph if node.op_type == "ReduceMean"]
    return mean.inputs[0].producer().op_type  # type: ignore[union-attr]


@pytest.mark.parametrize(("provider", "read"), [("openvino", "Tanh"), ("cpu", "DequantizeLinear")])
def test_for_openvino_means_read_floats(provider: str, read: str) -> None:
    graph, x = optimise_model(Averaged().eval(), TOKENS).model, make_samples(TOKENS, 64)
    rounded = make_plain_scheme(graph, as_own_samples(x), provider).round(())
    assert _find_what_means_read(rounded) == read
    expected = _run(graph, x)
    assert np.abs(_run(rounded, x) - expected).max() < 0.08 * np.abs(expected).max()


def test_a_mean_of_what_rounding_cuts_off_reads_it_cut_off() -> None:
    text = """g (float[N,3,6,6] x) => (float y) {
        c = Conv(x, w)
        r = Relu(c)
        d = Conv(r, v)
        m = ReduceMean <keepdims = 1> (r, axes)
        y = Add(d, m)
    }"""
    generator = np.random.default_rng(0)
    w, v = (generator.normal(size=(3, 3, 1, 1)).astype(np.float32) for _ in range(2))
    graph = read_graph(text, w=w, v=v, axes=np.array([2, 3], np.int64))
    x = generator.normal(size=(64, 3, 6, 6)).astype(np.float32)
    rounded = make_plain_scheme(graph, as_own_samples(x), "openvino").round(())
    assert "Relu" not in list_operators(rounded)
    assert _find_what_means_read(rounded) == "DequantizeLinear"
    expected = _run(graph, x)
    assert np.abs(_run(rounded, x) - expected).max() < 0.08 * np.abs(expected).max()


@pytest.mark.slow
def test_openvino_computes_means_beside_a_rounded_layer() -> None:
    require_openvino()
    model = Averaged().eval()
    graph, x = optimise_model(model, TOKENS).model, make_samples(TOKENS, 64)
    expected = _compute(model, x)
    for scheme in make_static_schemes(graph, {}, as_own_samples(x), "openvino"):
        result = _run(scheme.round(()), x, "openvino")
        assert np.abs(result - expected).max() < 0.08 * np.abs(expected).max()


@pytest.mark.slow
def test_a_bias_before_a_concat_reaches_openvino() -> None:
    require_openvino()
    network = build_patches()
    x = make_samples(network[1], 4, 9)
    expected = _compute(network[0], x)
    result = _run(_make_scheme(network, "openvino").round(()), x, "openvino")
    assert np.abs(result - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize(("low", "high"), [(3, 6), (-6, -3), (0, 6)])
def test_a_clip_that_leaves_out_0_stays(low: float, high: float) -> None:
    generator = np.random.default_rng(0)
    text = "g (float[N,8] x) => (float[N,4] y) { h = Gemm(x, w)\n c = Clip(h, low, high)\n y = MatMul(c, v) }"
    shapes = {"w": (8, 16), "v": (16, 4)}
    weights = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    bounds = {"low": np.array(low, np.float32), "high": np.array(high, np.float32)}
    graph = read_graph(text, **weights, **bounds)
    x = generator.normal(size=(64, 8)).astype(np.float32)
    rounded = make_static_schemes(graph, {}, as_own_samples(x))[0].round(())
    assert ("Clip" in list_operators(rounded)) == (low > 0 or high < 0)
    expected = _run(graph, x)
    assert np.abs(_run(rounded, x) - expected).max() < 0.03 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("shape", "options"),
    [((8,), "<beta = 2.0>"), ((1, 8), ""), ((1,), "<alpha = 0.5>"), ((), "<beta = 3.0>"), ((64, 8), "")],
)
def test_a_bias_of_any_shape_and_factor_keeps_its_value(shape: tuple[int, ...], options: str) -> None:
    generator = np.random.default_rng(0)
    nodes = f"h = Gemm{options}(x, w, b)\n t = Tanh(h)\n y = Gemm(t, w, b)"
    weights, bias = (generator.normal(size=size).astype(np.float32) for size in ((8, 8), shape))
    graph = read_graph(
        f"g (float[64,8] x) => (float[64,8] y) {{ {nodes} }}", w=weights, b=np.array(bias, np.float32)
    )
    x = generator.normal(size=(64, 8)).astype(np.float32)
    scheme, _ = make_static_schemes(graph, {}, as_own_samples(x))
    result, expected = _run(scheme.round(()), x), _run(graph, x)
    assert scheme.is_rounding(()) == (shape != (64, 8))
    assert np.abs(result - expected).max() < 0.03 * np.abs(expected).max()


def _count_weights(graph: ir.Model) -> int:
    return sum((name or "").endswith("weight_quantized") for name in graph.graph.initializers)
