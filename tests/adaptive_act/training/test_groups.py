"""Activations train at their own rate, without weight decay."""

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, NEAAF, PELU, Activation, parameter_groups
from adaptive_act.training import learned_parameters
from adaptive_act.training.groups import find_activation_groups


def _model() -> nn.Module:
    shared = PELU()
    return nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared, NEAAF(base="PELU"))


def test_every_parameter_is_in_one_group() -> None:
    model = _model()
    weights, activations = parameter_groups(model, lr=0.1, activation_lr=0.01, weight_decay=1e-4)
    grouped = [id(p) for group in (weights, activations) for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    assert len(activations["params"]) == 2 + 4
    assert (weights["lr"], weights["weight_decay"]) == (0.1, 1e-4)
    assert (activations["lr"], activations["weight_decay"]) == (0.01, 0.0)


@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=lambda kind: kind.__name__)
def test_what_decays_are_the_matrices_inside_an_activation(kind: type[Activation]) -> None:
    model = nn.Sequential(kind(channels=4), nn.Linear(4, 4))
    weights, activations = parameter_groups(model, lr=0.1)
    inside = {name for name, p in model.named_parameters() if p.ndim < 2 and name.startswith("0.")}
    assert set(learned_parameters(model)) == inside
    assert len(activations["params"]) == len(inside)
    assert len(weights["params"]) + len(inside) == len(list(model.parameters()))


def test_the_rate_is_the_weights_unless_given() -> None:
    assert [group["lr"] for group in parameter_groups(_model(), lr=0.3)] == [0.3, 0.3]


def test_weight_decay_does_not_move_activations() -> None:
    model = _model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.AdamW(parameter_groups(model, lr=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_groups_are_found_by_name_then_by_content() -> None:
    model = _model()
    named = torch.optim.SGD(parameter_groups(model, lr=0.1))
    learned = list(learned_parameters(model).values())
    others = list(model.get_submodule("0").parameters())
    unnamed = torch.optim.SGD([{"params": others, "lr": 0.1}, {"params": learned, "lr": 0.1}])
    without = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    assert [find_activation_groups(model, each) for each in (named, unnamed, without)] == [[1], [1], []]
