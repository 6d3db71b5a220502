import math

import pytest
import torch

from adaptive_act import BetaMish, ErfAct, ScaledMish


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("alpha", [1e-3, 0.75, 4.0])
def test_erfact_is_open_where_its_exponential_overflows(dtype: torch.dtype, alpha: float) -> None:
    activation = ErfAct(alpha=alpha).to(dtype)
    x = torch.tensor([20.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
    y = activation(x)
    slope, *of_parameters = torch.autograd.grad(y.sum(), [x, *activation.parameters()])
    assert torch.equal(y, x)
    assert torch.equal(slope, torch.ones_like(x))
    assert [float(gradient) for gradient in of_parameters] == [0.0, 0.0]


@pytest.mark.parametrize("beta", [0.1, 1.5, 4.0])
def test_beta_mish_is_the_published_power(beta: float) -> None:
    x = torch.tensor([-5.0, -0.5, 0.0, 0.7, 6.0, 20.5, 25.0], dtype=torch.float64)
    published = x * torch.tanh(torch.log((1 + torch.exp(x)) ** beta))
    torch.testing.assert_close(BetaMish(beta=beta).double()(x), published, rtol=1e-6, atol=0)
    exact = [v * math.tanh(float(torch.tensor(beta)) * math.log1p(math.exp(v))) for v in x.tolist()]
    torch.testing.assert_close(
        BetaMish(beta=beta).double()(x), torch.tensor(exact, dtype=torch.float64), rtol=1e-13, atol=0
    )


def test_a_scaled_mishs_values_are_not_taken_for_beta_mishs() -> None:
    with pytest.raises(RuntimeError, match="Missing key"):
        BetaMish().load_state_dict(ScaledMish().state_dict())
