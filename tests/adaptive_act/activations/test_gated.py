import pytest
import torch

from adaptive_act import ErfAct


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
