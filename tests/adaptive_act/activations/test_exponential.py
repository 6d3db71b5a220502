from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.activations import XIELUActivation

from adaptive_act import XIELU

X = torch.linspace(-20, 20, 401)


def of_transformers(**options: Any) -> Any:
    return XIELUActivation(dtype=torch.float32, **options)  # type: ignore[no-untyped-call]


def assert_the_same(actual: Tensor, expected: Tensor) -> None:
    # Theirs takes the exponential of nothing nearer to zero than -1e-6.
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=2e-6)


@pytest.mark.parametrize("beta", [0.5, 0.2])
def test_it_is_the_one_of_transformers(beta: float) -> None:
    theirs = of_transformers(alpha_p_init=1.1, alpha_n_init=0.7, beta=beta)
    alpha_p, excess = (F.softplus(raw.detach()) for raw in (theirs.alpha_p, theirs.alpha_n))
    assert_the_same(XIELU(beta=beta, alpha_p=alpha_p, excess=excess)(X), theirs(X))


def test_it_starts_where_that_of_transformers_does() -> None:
    assert_the_same(XIELU()(X), of_transformers()(X))


def test_the_far_left_rises_again_whatever_is_learned() -> None:
    activation = XIELU(excess=1e-3)
    assert activation(torch.tensor(-1e4)) > activation(torch.tensor(-1e3)) > 0
