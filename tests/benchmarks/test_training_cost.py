"""What the cost of training is a ratio to."""

import pytest
import torch
from torch import nn

from adaptive_act import ABU, MPELU, PSELU, Activation, Affine, PReLU, Snake
from adaptive_act.activation import PROBE
from benchmarks.training_cost import NUDGE, build_at_start, count_kept_bytes, find_plain_start


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        (MPELU, nn.ELU),
        (PSELU, nn.SELU),
        (Affine, nn.Tanh),
        (PReLU, nn.ReLU),
        (ABU, nn.ReLU),
        (Snake, nn.ReLU),
    ],
    ids=lambda kind: kind.__name__,
)
def test_each_is_compared_with_the_plain_one_it_starts_from(
    kind: type[Activation], plain: type[nn.Module]
) -> None:
    assert find_plain_start(kind) is plain


def test_it_starts_next_to_the_plain_one_and_not_on_it() -> None:
    activation = build_at_start(ABU, nn.ReLU, 16)
    difference = (activation.curve(PROBE) - torch.relu(PROBE)).abs().max()
    assert 0 < difference < 5 * NUDGE * PROBE.max()
    assert all(parameter.all() for parameter in activation.parameters())


def test_bytes_kept_are_counted_once() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sin(x) + torch.cos(x)

    assert count_kept_bytes(nn.Identity()) == 0
    assert count_kept_bytes(Twice()) == 4
