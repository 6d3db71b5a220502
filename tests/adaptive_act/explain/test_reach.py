"""The histogram of what reached each activation, against numpy's on the recorded inputs."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from adaptive_act import PReLU, Swish
from adaptive_act.errors import ExplainError
from adaptive_act.explain.reach import Reach, reach
from tests.adaptive_act.explain.models import batches, learned


def seen(*batch: Tensor, channels: int | None = None, axis: int = 1) -> Reach:
    return reach(nn.Sequential(PReLU(channels, axis)), list(batch), bins=32)["0"]


def sample(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_it_counts_as_numpy_does(dtype: torch.dtype, scale: float) -> None:
    x = sample(4000, scale=scale)
    x[::50] = 0  # neither below nor beyond
    parts = [part.to(dtype) for part in torch.split(x, 1500)]
    found = reach(nn.Sequential(PReLU().to(dtype)), parts, bins=32)["0"]
    values = torch.cat(parts).double().numpy()
    inside = values[(values >= found.edges[0]) & (values < found.edges[-1])]
    np.testing.assert_array_equal(found.counts[0], np.histogram(inside, found.edges)[0])
    assert found.under[0] == (values < found.edges[0]).sum()
    assert found.over[0] == (values >= found.edges[-1]).sum()
    assert found.under[0] + found.over[0] <= 0.002 * len(values)
    assert found.share_below_zero == (values < 0).mean()
    assert found.share_beyond == (np.abs(values) > 3).mean()
    assert (found.minimum[0], found.maximum[0]) == (values.min(), values.max())


@pytest.mark.parametrize("axis", [1, -1, 2])
def test_channels_are_counted_apart_along_their_axis(axis: int) -> None:
    x = sample(5, 3, 3) + torch.arange(3.0).reshape([3 if a == axis % 3 else 1 for a in range(3)])
    found = seen(x, channels=3, axis=axis)
    for channel, part in enumerate(x.movedim(axis, 0)):
        inside = part[(part >= found.edges[0]) & (part < found.edges[-1])].double().numpy()
        np.testing.assert_array_equal(found.counts[channel], np.histogram(inside, found.edges)[0])
        assert found.below_zero[channel] == (part < 0).sum()
    assert found.total.tolist() == [15, 15, 15]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.25, 0.5, 0.9, 1.0])
def test_a_quantile_is_right_within_a_bin(share: float) -> None:
    x = sample(5000)
    found = seen(x)
    width = found.edges[1] - found.edges[0]
    assert found.quantile(share) == pytest.approx(np.quantile(x.double().numpy(), share), abs=width)


def test_outliers_do_not_coarsen_the_bins() -> None:
    x = sample(10_000)
    x[0], x[1] = 1e6, -1e30
    found = seen(x)
    assert -5 < found.edges[0] < found.edges[-1] < 5
    assert (found.minimum[0], found.maximum[0]) == (pytest.approx(-1e30), 1e6)


def test_what_is_no_number_is_counted_and_nothing_else() -> None:
    found = seen(torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), -2.0]))
    assert found.non_finite.tolist() == [3]
    assert found.total.tolist() == [2]
    assert found.share_below_zero == 0.5


@pytest.mark.parametrize("value", [0.0, -3.0, 1e-30, 2e9])
def test_a_constant_input_has_a_histogram(value: float) -> None:
    found = seen(torch.full((10,), value))
    assert found.total.tolist() == [10]
    assert found.edges[0] < found.edges[-1]


@pytest.mark.parametrize("values", [[1e300, -1e300, 0.0], [1e300] * 3])
def test_inputs_beyond_float32_have_a_histogram(values: list[float]) -> None:
    model = nn.Sequential(PReLU()).double()
    found = reach(model, [torch.tensor(values, dtype=torch.float64)])["0"]
    assert found.total.tolist() == [3]
    assert (np.diff(found.edges) > 0).all()


def test_a_shared_activation_is_counted_at_each_call() -> None:
    shared = PReLU()
    found = reach(nn.Sequential(shared, nn.Linear(3, 5), shared), [torch.ones(2, 3)])
    assert list(found) == ["0"]
    assert found["0"].total.tolist() == [2 * 3 + 2 * 5]


def test_a_layer_that_nothing_reaches_is_left_out() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = PReLU(), Swish()

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            used: Tensor = self.used(x + y)
            return used

    found = reach(Half(), [(torch.ones(3), torch.ones(3))])
    assert list(found) == ["used"]


def test_the_model_is_not_changed() -> None:
    model = learned(per_channel=True).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hooks = [len(module._forward_pre_hooks) for module in model.modules()]
    reach(model, [x for x, _ in batches()])
    assert all(module.training for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [len(module._forward_pre_hooks) for module in model.modules()] == hooks


def test_batches_that_can_be_used_once_are_refused() -> None:
    with pytest.raises(TypeError, match="pass a list or a DataLoader"):
        reach(nn.Sequential(PReLU()), iter([torch.ones(3)]))


def test_no_data_is_an_error() -> None:
    with pytest.raises(ExplainError, match="no finite input reached"):
        reach(nn.Sequential(PReLU()), [])
