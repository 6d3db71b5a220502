import copy

import pytest
import torch

from adaptive_act import ACTIVATIONS
from adaptive_act.activation import named_activations
from convert.fold import fold
from tests.convert.models import Shared, activation, classifier


@pytest.mark.parametrize("kind", [name for name, kind in ACTIVATIONS.items() if kind.elementwise])
def test_a_folded_model_computes_the_same_without_learning(kind: str) -> None:
    model = classifier(kind, per_channel=True)
    folded = fold(model)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(folded(x), model(x))
    assert not any(list(one.parameters()) for one in named_activations(folded).values())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_a_shared_activation_is_folded_everywhere() -> None:
    folded = fold(Shared())
    assert folded.get_submodule("act") is folded.get_submodule("again")
    assert not list(folded.get_submodule("again").parameters())


def test_the_given_model_is_left_as_it_is() -> None:
    model = classifier().train()
    before = copy.deepcopy(model.state_dict())
    folded = fold(model)
    for parameter in folded.parameters():
        parameter.zero_()
    assert model.training
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_lone_activation_is_folded() -> None:
    lone = activation("PELU")
    folded = fold(lone)
    assert not list(folded.parameters())
    assert torch.equal(folded(torch.ones(3)), lone(torch.ones(3)))
