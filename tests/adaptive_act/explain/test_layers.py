"""What is collected of each layer."""

import numpy as np
import pytest
import torch
from torch import nn

from adaptive_act import ACTIVATIONS, Activation, PReLU, named_activations
from adaptive_act.explain import layers, reach
from adaptive_act.explain.layers import curve_points
from tests.adaptive_act.explain.models import batches, learned


def test_curves_are_those_of_activation_and_start() -> None:
    model = learned(per_channel=True)
    for layer, activation in zip(layers(model), named_activations(model).values(), strict=True):
        points = torch.from_numpy(layer.points)
        np.testing.assert_array_equal(layer.learned, activation.curve(points).numpy())
        assert layer.start.shape == (1, len(points))  # all channels start alike
    relu, elu = layers(model)
    np.testing.assert_allclose(relu.start[0], np.maximum(relu.points, 0), atol=1e-12)
    np.testing.assert_allclose(elu.start[0], nn.ELU(0.7).double()(torch.from_numpy(elu.points)), atol=1e-6)


def test_the_record_of_the_swap_is_kept() -> None:
    relu, elu = layers(learned())
    assert (relu.kind, relu.replaced, relu.origin) == ("PReLU", "ReLU()", "the fixed point at ReLU()")
    assert (elu.kind, elu.replaced) == ("MPELU", "ELU(alpha=0.7)")
    assert elu.start_values["alpha"].tolist() == pytest.approx([0.7])


def test_curves_are_drawn_where_the_data_lie_and_at_zero() -> None:
    model = nn.Sequential(PReLU())
    points = curve_points(reach(model, [torch.linspace(2, 5, 50)])["0"])
    assert points[0] == pytest.approx(0, abs=0.2)
    assert points[-1] == pytest.approx(5, abs=0.2)
    assert (curve_points(None)[0], curve_points(None)[-1]) == (-4.24, 4.24)


@pytest.mark.parametrize("kind", ACTIVATIONS.values())
def test_every_activation_is_listed_at_its_start(kind: type[Activation]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(kind(channels=4)).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    (layer,) = layers(model, reach(model, [x]))
    assert layer.moved.most == pytest.approx(0, abs=1e-6)
    assert layer.elementwise == kind.elementwise
    assert np.isfinite(layer.learned).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_layer_is_joined_with_what_reached_it() -> None:
    model = learned()
    reached = reach(model, [x for x, _ in batches()])
    assert [layer.reach for layer in layers(model, reached)] == list(reached.values())
