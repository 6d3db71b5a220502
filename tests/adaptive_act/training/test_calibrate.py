"""Calibration shows each activation what reaches it."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from adaptive_act import Activation, Learned, PReLU, SReLU
from adaptive_act.training import calibrate


class Reaching(Activation):
    """x, up to the largest magnitude that was met."""

    learned: ClassVar[Mapping[str, Learned]] = {"reach": Learned(1.0)}
    onnx_ops = ()

    def formula(self, x: Tensor, reach: Tensor) -> Tensor:
        return torch.minimum(x, reach)

    def calibrate(self, x: Tensor) -> None:
        self.get_parameter("reach").copy_(x.abs().max())


def reach(model: nn.Module, layer: str) -> float:
    return model.get_parameter(f"{layer}.reach").item()


def test_each_gets_what_reached_it_in_all_batches() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Reaching(), PReLU(), nn.Dropout(0.9), Reaching(reach=100.0))
    with torch.no_grad():
        model.get_parameter("0.weight").copy_(torch.eye(2) * 3)
        model.get_parameter("0.bias").zero_()
    loader = [(torch.tensor([[1.0, -2.0]]), "label"), (torch.tensor([[0.5, 0.0], [0.1, 0.0]]), "label")]
    assert calibrate(model, (x for x, _ in loader)) == ("1", "4")
    # Without dropout; the second one met what the first let through before it was calibrated.
    assert (reach(model, "1"), reach(model, "4")) == (6.0, 1.5)


def test_the_model_is_as_before_but_for_that() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2), Reaching(), nn.Dropout())
    model[0].eval()
    calibrate(model, [torch.randn(4, 2)])
    assert [module.training for module in model] == [False, True, True]
    assert model.get_buffer("0.num_batches_tracked").item() == 0
    assert model.get_parameter("1.reach").grad_fn is None
    assert not model[1]._forward_hooks


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.activation = Reaching()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        result: Tensor = self.activation(a + b)
        return result


@pytest.mark.parametrize(
    "batch", [(torch.ones(1), 2 * torch.ones(1)), {"a": torch.ones(1), "b": 2 * torch.ones(1)}], ids=type
)
def test_a_batch_is_what_the_model_is_called_with(batch: tuple[Tensor, Tensor] | dict[str, Tensor]) -> None:
    model = TwoInputs()
    calibrate(model, [batch])
    assert reach(model, "activation") == 3.0


def test_a_model_without_anything_to_place_is_left_alone() -> None:
    assert calibrate(nn.Sequential(PReLU()), [torch.ones(1)]) == ()


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        ([], ValueError, "at least one batch"),
        ([[torch.ones(1), 3]], TypeError, "leave out the labels"),
        ([torch.full((2,), torch.nan)], ValueError, "layer `1`: `SReLU.calibrate` expects finite"),
        (
            [torch.ones(1, 2), torch.ones(1, 3)],
            ValueError,
            r"layer `0` met inputs of shapes \[\(2,\), \(3,\)\]",
        ),
    ],
    ids=["none", "labels", "not finite", "shapes"],
)
def test_what_cannot_be_used_is_refused(batches: list[Tensor], error: type[Exception], message: str) -> None:
    model = nn.Sequential(Reaching(), SReLU())
    with pytest.raises(error, match=message):
        calibrate(model, batches)
    assert not model[0]._forward_hooks
