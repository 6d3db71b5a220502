"""Activations train at their own rate, without weight decay."""

import torch
from torch import nn

from adaptive_act import NEAAF, PELU, parameter_groups


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


def test_the_rate_is_the_weights_unless_given() -> None:
    assert [group["lr"] for group in parameter_groups(_model(), lr=0.3)] == [0.3, 0.3]


def test_an_optimiser_leaves_undisturbed_activations_where_they_are() -> None:
    model = _model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.AdamW(parameter_groups(model, lr=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"0.weight", "0.bias", "2.weight", "2.bias"}
