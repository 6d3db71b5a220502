import numpy as np
import pytest

from convert.precision.fusion import find_expanded
from convert.precision.weights import SLOW, WeightsScheme
from tests.convert.precision.test_weights import keeps_small, parse_layers

pytestmark = keeps_small
WEIGHTS = np.random.default_rng(0).standard_normal((300, 256)).astype(np.float32)


def test_a_layer_that_is_not_joined_with_its_weights_is_named() -> None:
    body = "a = MatMul(x, w) b = Relu(a) y = Neg(b)"
    graph = WeightsScheme(parse_layers(body, WEIGHTS), {}, 8).round(())
    assert find_expanded(graph) == set()
    clamp = next(node for node in graph.graph if node.op_type == "Max")
    clamp.op_type = "Relu"
    clamp.resize_inputs(1)
    assert find_expanded(graph) == {"n0.weights"}


def test_a_layer_that_would_take_longer_is_no_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.precision.weights.find_expanded", lambda graph: {"n0.weights"})
    graph = parse_layers("a = MatMul(x, w) b = MatMul(x, v) y = Add(a, b)", WEIGHTS)
    scheme = WeightsScheme(graph, {}, 8)
    assert [site.readers for site in scheme.sites] == [("n1",)]
    assert [(layer.layer, layer.reason) for layer in scheme.unfit] == [("n0", SLOW)]


def test_nothing_is_known_of_a_graph_too_large_for_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = WeightsScheme(parse_layers("y = MatMul(x, w)", WEIGHTS), {}, 8).round(())
    monkeypatch.setattr("convert.precision.fusion.LARGEST", 100)
    assert find_expanded(graph) == set()
