from collections.abc import Callable

import pytest
import torch
from torch import nn

from adaptive_act import PReLU, swap, unswap
from adaptive_act.swapping.copying import copy_model

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch would have parametrisations used


@pytest.mark.parametrize("normalise", [torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm])
def test_a_model_that_keeps_a_computed_weight_is_swapped(normalise: Callable[[nn.Module], nn.Module]) -> None:
    model = nn.Sequential(normalise(nn.Linear(4, 3)), nn.ReLU(), normalise(nn.Linear(3, 2)))
    x = torch.randn(5, 4)
    model(x).sum().backward()
    before = model.eval()(x)
    swapped = swap(model, {nn.ReLU: PReLU}, example=x)
    assert torch.equal(swapped.model(x), before)
    assert torch.equal(unswap(swapped.model).model(x), before)


def test_a_copy_computes_its_weight_from_its_own_parameters() -> None:
    layer: nn.Module = torch.nn.utils.weight_norm(nn.Linear(4, 3))
    copied = copy_model(layer)
    with torch.no_grad():
        layer.get_parameter("weight_g").zero_()
    x = torch.ones(1, 4)
    bias = layer.get_parameter("bias")
    assert torch.equal(layer(x)[0], bias)
    assert not torch.equal(copied(x)[0], bias)


def test_hooks_stay_where_an_activation_is_replaced() -> None:
    model, seen = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), []
    model[1].register_forward_hook(lambda *_: seen.append("forward"))
    model[1].register_forward_pre_hook(lambda *_: seen.append("before"), with_kwargs=True)
    model[1].register_full_backward_hook(lambda *_: seen.append("backward"))
    swapped = swap(model, {nn.ReLU: PReLU}).model
    plain = unswap(swapped).model
    assert seen == []
    for net in (swapped, plain):
        net(torch.ones(1, 2)).sum().backward()
        assert seen == ["before", "forward", "backward"]
        seen.clear()
