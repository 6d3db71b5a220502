"""What NEAAF takes of a base that it is given as a module."""

import pytest
import torch
from torch import nn

from adaptive_act import NEAAF


def test_a_base_keeps_its_slopes() -> None:
    plain = nn.PReLU(3, init=0.1)
    x = torch.linspace(-3, 3, 9).reshape(3, 3)
    assert torch.equal(NEAAF(base=plain)(x), plain(x))


def test_a_base_with_arguments_of_its_own_is_refused() -> None:
    NEAAF(base=nn.ReLU(inplace=True))
    with pytest.raises(ValueError, match=r"default arguments, got `ELU\(alpha=2.0\)`"):
        NEAAF(base=nn.ELU(2.0))
