import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import Tensor, nn

from convert.model_io.inputs import parse_input
from convert.precision.sites import RoundingSite, find_sites, is_linear, is_product
from tests.convert.models import make_activation, optimise_model
from tests.convert.network import make_network as branched
from tests.convert.precision.networks import build_network, read_graph


def _find_sites(model: nn.Module, text: str) -> tuple[RoundingSite, ...]:
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    return find_sites(optimise_model(model, parse_input(text)).model, kinds)


def test_each_layer_belongs_to_the_activation_that_it_reads() -> None:
    model, _, graph = build_network("images")
    found_sites = find_sites(graph, {name: type(module).__name__ for name, module in model.named_modules()})
    assert [(site.layer, site.kind) for site in found_sites] == [
        ("1", "BatchNorm2d"),  # one with the convolution before it
        ("2", "Swish"),
        ("5", "Swish"),
        ("9", "Swish"),
    ]
    assert [site.has_activation for site in found_sites] == [False, True, True, True]


@pytest.mark.slow
def test_every_layer_belongs_to_one_site() -> None:
    model = branched()
    graph = optimise_model(model, parse_input("image:float32[N,3,8,8]")).model
    found_sites = find_sites(graph, {})
    readers = [name for site in found_sites for name in site.readers]
    between = [name for site in found_sites for name in site.between]
    assert sorted(readers) == sorted(node.name or "" for node in graph.graph if is_linear(node))
    assert len(set(between)) == len(between)
    assert not set(between) & set(readers)


@pytest.mark.slow
def test_two_readers_of_one_activation_share_a_site() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.bend, self.pool = nn.Conv2d(3, 4, 3), make_activation("PELU"), nn.MaxPool2d(2)
            self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            """[N, 3, 10, 10] -> [N, 4, 4, 4]."""
            x = self.pool(self.bend(self.stem(x)))
            result: Tensor = torch.cat([self.left(x), self.right(x)], 1)
            return result

    first, second = _find_sites(Fork().eval(), "x:float32[N,3,10,10]")
    assert (first.layer, len(first.readers)) == ("stem", 1)
    assert (second.layer, second.kind, len(second.readers)) == ("bend", "PELU", 2)
    assert second.writers == first.readers


@pytest.mark.parametrize("shape", [(8,), (1, 8, 4), (3, 8, 4)])
def test_a_product_without_one_matrix_is_no_layer(shape: tuple[int, ...]) -> None:
    weights = np.ones(shape, np.float32)
    graph = read_graph("g (float[3,16,8] x) => (float y) { y = MatMul(x, w) }", w=weights)
    assert find_sites(graph, {}) == ()


ATTENTION = """
g (float[N,6,8] x) => (float[N,6,4] y) {
    n = Tanh(x)
    q = MatMul(n, wq)
    k = MatMul(n, wk)
    v = MatMul(n, wv)
    t = Transpose <perm = [0, 2, 1]> (k)
    scores = MatMul(q, t)
    shares = Softmax (scores)
    read = MatMul(shares, v)
    y = MatMul(read, wo)
}
"""


def _read_attention() -> ir.Model:
    weights = {name: np.ones((8, 4 if name == "wo" else 8), np.float32) for name in ("wq", "wk", "wv", "wo")}
    return read_graph(ATTENTION, **weights)


def test_products_of_computed_matrices_have_sites_of_their_own() -> None:
    graph = _read_attention()
    names = {node.outputs[0].name: node.name for node in graph.graph}
    found = find_sites(graph, {}, products=True)
    readers = [tuple(names[value] for value in values) for values in ("qkv", ["scores"], ["read"], "y")]
    assert [site.readers for site in found] == readers
    assert [site.kind for site in found] == ["Tanh", "MatMul", "Softmax", "MatMul"]
    assert [site.between for site in found] == [(names["n"],), (names["t"],), (names["shares"],), ()]


def test_without_them_what_lies_between_layers_is_one_site() -> None:
    before, behind = find_sites(_read_attention(), {})
    assert (len(before.readers), len(behind.readers)) == (3, 1)
    assert (behind.kind, len(behind.between)) == ("MatMul", 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(float[3,4] x, float[4,5] w) => (float[3,5] y)", True),
        ("(float[N,3,4] x, float[N,4,5] w) => (float y)", True),
        ("(float[3,4] x, float[4] w) => (float y)", False),
        ("(double[3,4] x, double[4,5] w) => (double y)", False),
        ("(int32[3,4] x, int32[4,5] w) => (int32 y)", False),
    ],
)
def test_a_product_has_two_computed_matrices_of_float32(text: str, expected: bool) -> None:
    (node,) = read_graph(f"g {text} {{ y = MatMul(x, w) }}").graph
    assert is_product(node) is expected


def test_a_product_with_constants_is_none() -> None:
    (node,) = read_graph(
        "g (float[3,4] x) => (float y) { y = MatMul(x, w) }", w=np.ones((4, 5), np.float32)
    ).graph
    assert not is_product(node)


@pytest.mark.parametrize(
    ("behind", "count"),
    [
        ("y = Gelu(l)", 1),
        ("s = Mul(l, two)\n m = Add(s, x)\n y = Softmax(m)", 1),
        ("s = Softmax(l)\n e = Relu(s)\n y = Add(s, e)", 1),
        ("k = MatMul(t, x)\n y = Add(l, k)", 2),
        ("y = Mul(l, l)", 0),
        ("e = Relu(l)\n y = Add(l, e)", 0),
        ("s = Mul(l, two)\n e = Relu(s)\n y = Sub(s, e)", 0),
        ("p, q = Split <axis = 2, num_outputs = 2> (l)\n y = Mul(p, q)", 0),
    ],
)
def test_a_product_that_meets_itself_has_no_site(behind: str, count: int) -> None:
    text = "g (float[N,6,6] x) => (float y) { t = Transpose <perm = [0, 2, 1]> (x)\n l = MatMul(x, t)\n"
    graph = read_graph(f"{text} {behind} }}", two=np.array(2, np.float32))
    assert sum(len(site.readers) for site in find_sites(graph, {}, products=True)) == count
