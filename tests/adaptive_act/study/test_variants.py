import pytest
import torch
from torch import nn

from adaptive_act import NEAAF, PWLU, named_activations
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.errors import StudyError
from adaptive_act.plain import PLAIN
from adaptive_act.study.variants import Variant, place_variant

X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


@pytest.mark.parametrize(
    "text",
    ["ReLU", "PReLU", "PELU frozen", "NEAAF(side=both, gamma=0.05) per channel", "PReLU per channel frozen"],
)
def test_a_variant_is_read_and_written_back(text: str) -> None:
    assert str(Variant.parse(text)) == text


@pytest.mark.parametrize("name", [*PLAIN, *ACTIVATIONS])
def test_every_activation_has_a_name_of_its_own(name: str) -> None:
    assert Variant.parse(name).learns == (name in ACTIVATIONS)
    assert (name in PLAIN) != (name in ACTIVATIONS)


@pytest.mark.parametrize(
    "text",
    ["Rélu", "NoSuch", "ReLU per channel", "ELU frozen", "ReLU(x=1)", "NEAAF(side=left)", "PReLU(b=1)", ""],
)
def test_what_names_no_activation_is_refused(text: str) -> None:
    with pytest.raises(StudyError):
        Variant.parse(text)


def test_a_fixed_point_starts_at_the_baseline() -> None:
    placed = place_variant(network(), "ReLU", Variant.parse("NEAAF(side=both, gamma=0.5)"), X)
    assert placed.at_fixed_point
    assert placed.parameters_added == 2
    assert torch.equal(placed.model(X), network()(X))
    (activation,) = named_activations(placed.model).values()
    assert isinstance(activation, NEAAF)
    assert (activation.side, activation.gamma) == ("both", 0.5)


def test_without_a_fixed_point_it_starts_at_its_values() -> None:
    placed = place_variant(network(), "ReLU", Variant.parse("PELU"), X)
    assert not placed.at_fixed_point
    assert not torch.equal(placed.model(X), network()(X))
    assert torch.equal(placed.model.get_parameter("0.weight"), network().get_parameter("0.weight"))


def test_a_variant_is_calibrated_on_the_example() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    placed = place_variant(model, "Tanh", Variant.parse("PWLU"), 100 * X)
    (activation,) = named_activations(placed.model).values()
    assert isinstance(activation, PWLU)
    reached = model[0](100 * X).detach().std(correction=0)
    assert float(activation.values()["right"] - activation.values()["left"]) == pytest.approx(
        6 * float(reached), rel=1e-4
    )


def test_per_channel_and_frozen_are_what_they_say() -> None:
    placed = place_variant(network(), "ReLU", Variant.parse("PReLU per channel frozen"), X)
    assert placed.parameters_added == 5
    (activation,) = named_activations(placed.model).values()
    assert not any(parameter.requires_grad for parameter in activation.parameters())
    assert placed.model.get_parameter("0.weight").requires_grad
