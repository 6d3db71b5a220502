import copy

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS
from adaptive_act.activation import named_activations
from convert.artefact.file import serialise
from convert.rewriting.optimise import optimise
from convert.sources.export import export
from convert.sources.fold import fold
from tests.convert.models import IMAGES, SharedActivation, classifier, make_activation


@pytest.mark.parametrize("kind", [name for name, kind in ACTIVATIONS.items() if kind.elementwise])
def test_a_folded_model_computes_the_same(kind: str) -> None:
    model = classifier(kind, per_channel=True)
    folded = fold(model)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(folded(x), model(x))
    assert not any(list(one.parameters()) for one in named_activations(folded).values())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_a_shared_activation_is_folded_everywhere() -> None:
    folded = fold(SharedActivation())
    assert folded.get_submodule("act") is folded.get_submodule("again")
    assert not list(folded.get_submodule("again").parameters())


@pytest.mark.slow
def test_the_given_model_is_unchanged() -> None:
    model = classifier("PELU", per_channel=True).train()
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    folded.get_parameter("0.weight").requires_grad_(True)
    graph = optimise(export(folded, [IMAGES]).model).model
    serialise(graph)
    assert model.training
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(one is other for one in model.modules() for other in folded.modules())


def test_weights_are_shared_and_buffers_copied() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    folded = fold(model)
    for own, copied in zip(model.parameters(), folded.parameters(), strict=True):
        assert own is not copied
        assert own.data_ptr() == copied.data_ptr()
    for buffer, other in zip(model.buffers(), folded.buffers(), strict=True):
        assert buffer.data_ptr() != other.data_ptr()


class Counting(nn.Module):
    """One whose forward writes into a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.runs = nn.Buffer(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.runs.add_(1)
        return x * self.weight


def test_buffers_written_in_the_copy_stay_there() -> None:
    model = Counting()
    fold(model)(torch.ones(2, 3))
    assert not model.runs


def test_a_lone_activation_is_folded() -> None:
    lone = make_activation("PELU")
    folded = fold(lone)
    assert not list(folded.parameters())
    assert torch.equal(folded(torch.ones(3)), lone(torch.ones(3)))
