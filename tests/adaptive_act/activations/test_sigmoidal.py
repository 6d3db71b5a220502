import math

import pytest
import torch
from torch import nn

from adaptive_act import LAAF

X = torch.linspace(-6, 6, 97)


@pytest.mark.parametrize("n", [1.0, 5.0, 10.0])
def test_it_starts_at_tanh_whatever_the_factor(n: float) -> None:
    torch.testing.assert_close(LAAF.at_fixed_point(nn.Tanh(), n=n)(X), X.tanh(), rtol=2e-7, atol=0)


def test_the_factor_scales_what_a_change_of_a_does() -> None:
    plain, bold = (
        torch.autograd.grad(activation(X.relu()).sum(), list(activation.parameters()))[0]
        for activation in (LAAF(), LAAF(n=10.0))
    )
    torch.testing.assert_close(bold, 10 * plain)


@pytest.mark.parametrize("n", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_that_is_no_positive_number_is_refused(n: float) -> None:
    with pytest.raises(ValueError, match="finite factor n above 0"):
        LAAF(n=n)
