"""What all activations share."""

import re
from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import ACTIVATIONS, NEAAF, PELU, Activation, Affine, FixedPointError, Learned, PReLU, Swish
from adaptive_act.activation import PROBE, named_activations


def test_parameters_are_vectors() -> None:
    assert [p.shape for p in PELU().parameters()] == [(1,), (1,)]
    assert [p.shape for p in PELU(channels=5).parameters()] == [(5,), (5,)]


def test_a_positive_parameter_stays_positive_whatever_the_step() -> None:
    activation = PELU()
    with torch.no_grad():
        for parameter in activation.parameters():
            parameter.sub_(50)
    assert all((value > 0).all() for value in activation.values().values())


def test_starting_values_are_given_by_name() -> None:
    assert torch.equal(PReLU(2, a=[0.1, 0.3]).values()["a"], torch.tensor([0.1, 0.3]))
    assert PELU(b=2.0).values()["b"].item() == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PReLU(slope=0.1), "no parameter \\['slope'\\]; it learns \\['a'\\]"),
        (lambda: PReLU(3, a=[0.1, 0.2]), "2 values, expected 1 or 3"),
        (lambda: PELU(a=-1.0), "must start above 0, got"),
        (lambda: NEAAF(base="GELU"), "a base among"),
        (lambda: NEAAF(side=cast(Any, "left")), "`positive` or `both`, got `left`"),
        (lambda: Affine(base="Linear"), "expected a plain torch activation"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[], Activation], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        build()


@pytest.mark.parametrize("shape", [(2, 4), (2, 4, 3), (3,)])
def test_an_input_without_its_channels_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="3 channels along axis 1, got an input of shape"):
        PReLU(channels=3)(torch.zeros(shape))


def test_the_output_has_the_inputs_dtype_under_mixed_precision() -> None:
    assert PReLU(channels=3)(torch.zeros(2, 3, dtype=torch.bfloat16)).dtype is torch.bfloat16


def test_a_formula_must_match_its_declaration() -> None:
    with pytest.raises(TypeError, match=r"takes \['b'\], but it declares \['a'\]"):

        class Wrong(Activation):
            learned = {"a": Learned(1.0)}  # noqa: RUF012  # declared ClassVar in Activation
            onnx_ops = ()

            def formula(self, x: Tensor, b: Tensor) -> Tensor:
                return x


@pytest.mark.parametrize(
    ("kind", "plain", "message"),
    [
        (PELU, nn.ReLU(), "`PELU` has no fixed point at `ReLU\\(\\)`; it has one at `ELU`"),
        (PELU, nn.ELU(0.5), "equals `ELU\\(alpha=0.5\\)` at no parameter values"),
        (ACTIVATIONS["SoftThreshold"], nn.Softshrink(0.0), "`tau` would not be above 0"),
        (ACTIVATIONS["Snake"], nn.ReLU(), "none at any plain torch activation"),
    ],
)
def test_a_missing_fixed_point_is_named(kind: type[Activation], plain: nn.Module, message: str) -> None:
    with pytest.raises(FixedPointError, match=message):
        kind.at_fixed_point(plain)


def test_torchs_per_channel_slopes_are_taken_over() -> None:
    plain = nn.PReLU(3)
    with torch.no_grad():
        plain.weight.copy_(torch.tensor([0.1, -0.2, 0.7]))
    for kind in (PReLU, NEAAF):
        activation = kind.at_fixed_point(plain)
        x = torch.randn(5, 3, 2)
        assert torch.equal(activation(x), plain(x))


def test_the_curve_is_drawn_for_each_channel() -> None:
    activation = PReLU(channels=2, channel_axis=-1, a=[0.5, 0.0])
    curve = activation.curve(torch.tensor([-2.0, 1.0]))
    assert torch.equal(curve, torch.tensor([[-1.0, 1.0], [0.0, 1.0]], dtype=torch.float64))
    assert activation.channel_axis == -1


def test_activations_are_listed_once_without_their_bases() -> None:
    model = nn.Sequential(nn.Linear(2, 2), NEAAF(base="PELU"), nn.Sequential(Swish()))
    assert list(named_activations(model)) == ["1", "2.0"]
    assert list(named_activations(model[1])) == [""]


def test_the_representation_shows_the_values() -> None:
    assert repr(PReLU(2, a=[0.1, 0.3])) == "PReLU(channels=2, axis=1, a=0.1..0.3)"


def test_an_in_place_module_is_not_changed_by_the_search() -> None:
    probe = PROBE.clone()
    assert torch.equal(PReLU.at_fixed_point(nn.ReLU(inplace=True), 3).values()["a"], torch.zeros(3))
    assert torch.equal(probe, PROBE)


@pytest.mark.parametrize("channels", [0, -1, 2.5, True, "4"])
def test_channels_are_a_whole_number_from_1(channels: Any) -> None:
    message = f"`PReLU` expects channels from 1 up, or None for shared parameters, got `{channels}`"
    with pytest.raises(ValueError, match=re.escape(message)):
        PReLU(channels)
    with pytest.raises(ValueError, match=re.escape(message)):
        PReLU.at_fixed_point(nn.ReLU(), channels)


def test_a_fixed_point_sets_the_learned_values() -> None:
    with pytest.raises(FixedPointError, match=r"`PReLU` starts at the value of `a` .* leave `a` out"):
        PReLU.at_fixed_point(nn.ReLU(), a=0.1)
