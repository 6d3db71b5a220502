import torch
from torch import Tensor, nn

from convert.model_io.inputs import parse_input
from convert.precision.sites import RoundingSite, find_sites, is_linear
from tests.convert.models import make_activation, optimise_model
from tests.convert.network import make_network as branched
from tests.convert.precision.networks import network


def _sites(model: nn.Module, text: str) -> tuple[RoundingSite, ...]:
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    return find_sites(optimise_model(model, parse_input(text)).model, kinds)


def test_each_layer_belongs_to_the_activation_that_it_reads() -> None:
    model, _, graph = network("images")
    found = find_sites(graph, {name: type(module).__name__ for name, module in model.named_modules()})
    assert [(site.layer, site.kind) for site in found] == [
        ("1", "BatchNorm2d"),  # one with the convolution before it
        ("2", "Swish"),
        ("5", "Swish"),
        ("9", "Swish"),
    ]
    assert [site.has_activation for site in found] == [False, True, True, True]


def test_nothing_belongs_to_two_sites_and_no_layer_to_none() -> None:
    model = branched()
    graph = optimise_model(model, parse_input("image:float32[N,3,8,8]")).model
    found = find_sites(graph, {})
    readers = [name for site in found for name in site.readers]
    between = [name for site in found for name in site.between]
    assert sorted(readers) == sorted(node.name or "" for node in graph.graph if is_linear(node))
    assert len(set(between)) == len(between)
    assert not set(between) & set(readers)


def test_two_layers_that_read_one_activation_share_a_site_through_a_pool() -> None:
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

    first, second = _sites(Fork().eval(), "x:float32[N,3,10,10]")
    assert (first.layer, len(first.readers)) == ("stem", 1)
    assert (second.layer, second.kind, len(second.readers)) == ("bend", "PELU", 2)
    assert second.writers == first.readers
