import numpy as np
import torch
from torch import nn

from adaptive_act import Activation, PReLU, swap
from convert.evidence.learned import learned
from convert.parity.samples import SampleSet
from tests.convert.models import Shared


def _samples(count: int = 50) -> SampleSet:
    return SampleSet("given, 0", (np.random.default_rng(0).standard_normal((count, 4)).astype(np.float32),))


def _model() -> nn.Module:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = swap(plain, {nn.ReLU: PReLU}, per_channel=True, example=torch.ones(1, 4)).model
    with torch.no_grad():
        model.get_parameter("1.a").add_(0.25)
    return model.eval()


def test_values_start_and_curves_are_the_layers() -> None:
    (found,) = learned(_model(), [_samples()])
    assert found.values == {"a": (0.25,) * 6}
    assert found.start is not None
    assert found.start.values == {"a": (0.0,) * 6}
    assert found.replaced == "ReLU()"
    points = np.array(found.curve.points)
    np.testing.assert_allclose(found.curve.values[3], np.where(points < 0, points / 4, points))
    np.testing.assert_allclose(found.start.curve[3], np.maximum(points, 0), atol=1e-12)


def test_the_histogram_is_that_of_the_inputs() -> None:
    model, samples = _model(), _samples()
    (found,) = learned(model, [samples])
    linear = model.get_submodule("0")
    inputs = linear(torch.from_numpy(samples.arrays[0])).detach().numpy()
    assert found.reach is not None
    assert found.reach.inputs == inputs.size
    assert abs(found.reach.below_zero - (inputs < 0).mean()) < 1e-3
    expected, _ = np.histogram(inputs, len(found.reach.shares), (found.reach.low, found.reach.high))
    np.testing.assert_allclose(found.reach.shares, expected / inputs.size, atol=3e-3)


def test_an_activation_under_two_names_is_written_under_both() -> None:
    first, second = learned(Shared().eval(), [_samples()])
    assert (first.layer, second.layer) == ("act", "again")
    assert first.reach == second.reach


def test_samples_that_reach_nothing_leave_the_rest() -> None:
    lost = SampleSet("given, 0", (np.full((2, 4), np.nan, np.float32),))
    (found,) = learned(_model(), [lost])
    assert found.reach is None
    assert found.words


def test_a_model_without_activations_has_none() -> None:
    assert learned(nn.Linear(4, 2).eval(), [_samples()]) == ()


def test_the_model_is_left_as_it_was() -> None:
    model = _model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learned(model, [_samples()])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules() if isinstance(module, Activation))
