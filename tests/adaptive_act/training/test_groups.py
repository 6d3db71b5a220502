"""Activations train at their own rate; only weights decay."""

from typing import Any

import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, NEAAF, PELU, Activation, parameter_groups
from adaptive_act.training import learned_parameters
from adaptive_act.training.groups import find_activation_groups


def _model() -> nn.Module:
    shared = PELU()
    return nn.Sequential(nn.Linear(2, 2), shared, nn.Linear(2, 2), shared, NEAAF(base="PELU"))


def _names(model: nn.Module, group: dict[str, Any]) -> set[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)] for parameter in group["params"]}


def test_every_parameter_is_in_one_group() -> None:
    model = _model()
    groups = parameter_groups(model, lr=0.1, activation_lr=0.01, weight_decay=1e-4)
    grouped = [id(p) for group in groups for p in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in model.parameters())
    settings = [(group["name"], group["lr"], group["weight_decay"]) for group in groups]
    assert settings == [("weights", 0.1, 1e-4), ("biases", 0.1, 0.0), ("activations", 0.01, 0.0)]
    assert _names(model, groups[1]) == {"0.bias", "2.bias"}
    assert len(groups[2]["params"]) == 2 + 4


@pytest.mark.parametrize("kind", ACTIVATIONS.values(), ids=lambda kind: kind.__name__)
def test_what_decays_are_the_matrices_inside_an_activation(kind: type[Activation]) -> None:
    model = nn.Sequential(kind(channels=4), nn.Linear(4, 4))
    weights, biases, activations = parameter_groups(model, lr=0.1)
    inside = {name for name, p in model.named_parameters() if p.ndim < 2 and name.startswith("0.")}
    assert set(learned_parameters(model)) == _names(model, activations) == inside
    assert _names(model, biases) == {"1.bias"}
    assert len(weights["params"]) + 1 + len(inside) == len(list(model.parameters()))


class ImageBias(nn.Module):
    """A bias with a place for each dimension of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 2, 1, 1))


@pytest.mark.parametrize(
    ("layer", "decaying"),
    [
        (nn.Linear(2, 2), {"weight"}),
        (nn.Conv2d(2, 2, 3), {"weight"}),
        (nn.Embedding(3, 2), {"weight"}),
        (nn.BatchNorm2d(2), set()),
        (nn.GroupNorm(1, 2), set()),
        (nn.LayerNorm(2), set()),
        (nn.LayerNorm((2, 2)), set()),
        (nn.RMSNorm((2, 2)), set()),
        (nn.PReLU(2), set()),
        (ImageBias(), set()),
        (nn.MultiheadAttention(2, 1), {"in_proj_weight", "out_proj.weight"}),
        (nn.LSTM(2, 2), {"weight_ih_l0", "weight_hh_l0"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_biases_and_norms_do_not_decay(layer: nn.Module, decaying: set[str]) -> None:
    groups = parameter_groups(layer, lr=0.1, weight_decay=0.5)
    assert _names(layer, groups[0]) == decaying
    assert sum(len(group["params"]) for group in groups) == len(list(layer.parameters()))


def test_a_model_of_weights_alone_has_empty_groups() -> None:
    model = nn.Linear(2, 2, bias=False)
    optimiser = torch.optim.AdamW(parameter_groups(model, lr=0.1))
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    assert [len(group["params"]) for group in optimiser.param_groups] == [1, 0, 0]


def test_the_rate_is_that_of_the_weights_with_an_unknown_optimiser() -> None:
    assert [group["lr"] for group in parameter_groups(_model(), lr=0.3)] == [0.3, 0.3, 0.3]


@pytest.mark.parametrize(
    ("optimizer", "lr", "expected"),
    [
        (torch.optim.Adam, 1e-3, 1e-2),
        (torch.optim.AdamW, 1e-3, 1e-2),
        (torch.optim.NAdam, 3e-3, 3e-2),
        (torch.optim.Adam, 0.01, 0.03),
        (torch.optim.Adam, 0.5, 0.5),
        (torch.optim.Adam, 0.0, 0.0),
        (torch.optim.SGD, 0.001, 0.001),
        (torch.optim.SGD, 0.1, 0.01),
        (torch.optim.RMSprop, 0.1, 0.01),
    ],
    ids=str,
)
def test_the_rate_follows_from_the_optimiser(
    optimizer: type[torch.optim.Optimizer], lr: float, expected: float
) -> None:
    weights, biases, activations = parameter_groups(_model(), lr, optimizer=optimizer)
    assert (weights["lr"], biases["lr"]) == (lr, lr)
    assert activations["lr"] == pytest.approx(expected)


def test_a_rate_that_is_given_holds_with_any_optimiser() -> None:
    groups = parameter_groups(_model(), 1e-3, 2e-3, optimizer=torch.optim.Adam)
    assert groups[2]["lr"] == 2e-3


@pytest.mark.parametrize("name", ["lr", "activation_lr", "weight_decay"])
@pytest.mark.parametrize("number", [-0.1, float("nan"), float("inf")])
def test_a_rate_that_would_climb_or_end_in_nan_is_refused(name: str, number: float) -> None:
    with pytest.raises(ValueError, match=f"expected `{name}` of at least 0"):
        parameter_groups(nn.Linear(2, 2), **{"lr": 0.1, name: number})  # type: ignore[arg-type]


def test_weight_decay_moves_only_weights() -> None:
    model = _model()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimiser = torch.optim.AdamW(parameter_groups(model, lr=0.1, weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"0.weight", "2.weight"}


def test_groups_are_found_by_name_then_by_content() -> None:
    model = _model()
    named = torch.optim.SGD(parameter_groups(model, lr=0.1))
    learned = list(learned_parameters(model).values())
    others = list(model.get_submodule("0").parameters())
    unnamed = torch.optim.SGD([{"params": others, "lr": 0.1}, {"params": learned, "lr": 0.1}])
    without = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    assert [find_activation_groups(model, each) for each in (named, unnamed, without)] == [[2], [1], []]
