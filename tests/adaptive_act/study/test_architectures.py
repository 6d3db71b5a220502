import pytest
import torch
from torch import nn

from adaptive_act.errors import FactoryError, StudyError
from adaptive_act.study.architectures import BUILT_IN, build_network
from adaptive_act.study.specs import Architecture
from tests.adaptive_act.study import models


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 27)])
def test_a_built_in_network_fits_the_data(name: str, shape: tuple[int, ...]) -> None:
    model = build_network(Architecture(name), shape, 7, "ReLU", "ELU")
    assert model(torch.zeros(2, *shape)).shape == (2, 7)
    kinds = [type(module) for module in model.modules()]
    assert nn.ELU in kinds
    assert nn.ReLU not in kinds


@pytest.mark.parametrize("name", BUILT_IN)
def test_weights_depend_on_the_seed_alone(name: str) -> None:
    states = []
    for activation in ("ReLU", "SiLU"):
        torch.manual_seed(3)
        states.append(build_network(Architecture(name), (1, 8, 8), 4, "ReLU", activation).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_options_size_a_network() -> None:
    model = build_network(Architecture("mlp(width=5, depth=3)"), (6,), 2, "ReLU", "ReLU")
    assert [module.out_features for module in model if isinstance(module, nn.Linear)] == [5, 5, 5, 2]  # type: ignore[attr-defined]


def test_a_factory_is_called_with_its_arguments() -> None:
    model = build_network(Architecture(models.OWN, '{"width": 5}'), (1, 8, 8), 10, "ReLU", "ReLU")
    assert model.get_submodule("1").out_features == 5
    assert isinstance(model.get_submodule("2"), nn.ReLU)


def test_another_plain_activation_replaces_the_baseline() -> None:
    model = build_network(Architecture(models.OWN), (1, 8, 8), 10, "ReLU", "LeakyReLU(negative_slope=0.2)")
    changed = model.get_submodule("2")
    assert isinstance(changed, nn.LeakyReLU)
    assert changed.negative_slope == 0.2


@pytest.mark.parametrize(
    ("architecture", "error", "words"),
    [
        (Architecture("vgg"), StudyError, "mlp, cnn, resnet"),
        (Architecture("mlp(wide=3)"), StudyError, "wide"),
        (Architecture(models.CALLING), StudyError, "calls of a function"),
        (Architecture(models.WRONG), FactoryError, r"expected outputs \[n, 10\]"),
        (Architecture(models.OWN, "[1]"), StudyError, "expected an object"),
        (Architecture(models.OWN, "{"), StudyError, "not JSON"),
        (Architecture("nowhere:f"), FactoryError, "nowhere"),
    ],
)
def test_what_cannot_be_built_says_why(
    architecture: Architecture, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        build_network(architecture, (1, 8, 8), 10, "ReLU", "ELU")


def test_a_convolution_wants_images() -> None:
    with pytest.raises(StudyError, match="`mlp` takes any"):
        build_network(Architecture("cnn"), (30,), 10, "ReLU", "ReLU")
