import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional

from convert.model_io.inputs import parse_input
from convert.precision.distributions import Distribution, Distributions, measure_distributions
from convert.precision.shifts import correct_biases
from convert.precision.sites import find_sites
from convert.precision.static import StaticScheme, list_rounded_values
from tests.convert.models import optimise_model
from tests.convert.precision.networks import (
    ROWS,
    as_own_samples,
    build_network,
    make_samples,
    read_graph,
)

_IMAGE = parse_input("image:float32[N,8,3,3]")


@pytest.mark.parametrize("name", ["rows", "images"])
def test_statistics_are_those_of_the_values(name: str) -> None:
    _, spec, graph = build_network(name)
    x = make_samples(spec, 100)
    counted: list[int] = []
    sets = (*as_own_samples(x[:64]), *as_own_samples(x[64:]))
    (values,) = measure_distributions(graph, [spec.name], sets, counted.append).values()
    assert (values.low, values.high, values.count) == (x.min(), x.max(), x.size)
    assert set(values.numbers.tolist()) <= set(x.reshape(-1).tolist())
    means = x.reshape(*x.shape[:2], -1).mean((0, 2), dtype=np.float64)
    assert values.means == pytest.approx(means, abs=1e-6)
    assert counted == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 4])
def test_corrected_biases_give_the_exact_means(groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 12, 1, groups=groups)
    graph = optimise_model(nn.Sequential(layer), _IMAGE).model
    x = make_samples(_IMAGE, 64) + np.arange(8, dtype=np.float32)[:, None, None]
    weights = layer.weight.detach().double()
    distributions = measure_distributions(graph, [_IMAGE.name], as_own_samples(x))
    (bias,) = correct_biases(graph, distributions).values()
    step = weights.abs().flatten(1).amax(1).reshape(-1, 1, 1, 1) / 127
    exact = layer.double()(torch.from_numpy(x).double()).mean((0, 2, 3))
    layer.weight.data = torch.round(weights / step) * step
    plain = layer(torch.from_numpy(x).double()).mean((0, 2, 3))
    layer.bias = nn.Parameter(torch.from_numpy(bias.numbers).double())
    corrected = layer(torch.from_numpy(x).double()).mean((0, 2, 3))
    assert (plain - exact).abs().max() > 1e-3
    assert (corrected - exact).abs().max() < 1e-6


def test_the_bias_after_a_matrix_product_is_corrected() -> None:
    torch.manual_seed(0)
    layer, spec = nn.Linear(8, 12), parse_input("tokens:float32[N,5,8]")
    graph = optimise_model(nn.Sequential(nn.LayerNorm(8), layer), spec).model
    (product,) = [node for node in graph.graph if node.op_type == "MatMul"]
    name = product.inputs[0].name or ""  # type: ignore[union-attr]
    x = make_samples(spec, 64)
    rows = functional.layer_norm(torch.from_numpy(x), (8,)).flatten(0, 1).double() + 3
    known = Distribution(0, 1, np.zeros(1, np.float32), 1, rows.mean(0).numpy())
    (bias,) = correct_biases(graph, {name: known}).values()
    step = layer.weight.abs().amax(1, keepdim=True).double() / 127
    lost = (torch.round(layer.weight / step) * step - layer.weight).double()
    expected = layer.bias - (lost * rows.mean(0)).sum(1)
    assert bias.numbers == pytest.approx(expected.detach().numpy(), abs=1e-6)
    assert bias.node == product.outputs[0].consumers()[0].name
    measured = measure_distributions(graph, [name], as_own_samples(x))[name]
    assert measured.means == pytest.approx((rows - 3).mean(0).numpy(), abs=1e-6)


def test_a_bias_of_one_number_for_one_result_is_corrected() -> None:
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(8, 1)).astype(np.float32)
    text = "g (float[N,8] x) => (float[N,1] y) { h = MatMul(x, w)\n y = Add(h, b) }"
    graph = read_graph(text, w=weights, b=np.array(0.5, np.float32))
    known = Distribution(0, 1, np.zeros(1, np.float32), 1, np.ones(8))
    (bias,) = correct_biases(graph, {"x": known}).values()
    step = np.abs(weights).max() / 127
    assert bias.numbers.shape == ()
    assert float(bias.numbers) == pytest.approx(
        0.5 - (np.rint(weights / step) * step - weights).sum(), abs=1e-6
    )


def test_only_rounded_layers_have_corrected_biases() -> None:
    _, spec, graph = build_network("rows")
    distributions = measure_distributions(
        graph, list_rounded_values(graph), as_own_samples(make_samples(spec) + 1)
    )
    scheme = StaticScheme(graph, find_sites(graph, {}), distributions)
    assert _count_corrected(scheme.round(())) == 3
    assert _count_corrected(scheme.round(scheme.sites[:1])) == 2


def test_values_that_no_rule_typed_are_observed_too() -> None:
    _, _, graph = build_network("images")
    bare = graph.clone()
    for node in bare.graph:
        for value in node.outputs:
            if not value.is_graph_output():
                value.type = None
    assert list_rounded_values(bare) == list_rounded_values(graph) != []


def test_layers_without_means_or_biases_are_left() -> None:
    _, _, graph = build_network("rows")
    assert correct_biases(graph, {}) == {}
    unknown = Distribution(0, 1, np.zeros(1, np.float32), 1)
    broken = Distribution(0, 1, np.zeros(1, np.float32), 1, np.full(16, np.nan))
    for distribution in (unknown, broken):
        known: Distributions = {ROWS.name: distribution}
        assert correct_biases(graph, known) == {}


def _count_corrected(graph: ir.Model) -> int:
    return sum((name or "").endswith("bias_corrected_quantized") for name in graph.graph.initializers)
