import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert.model_io.inputs import parse_input
from convert.precision.sites import RoundingSite, find_sites, is_linear
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
