"""A state_dict is tensors, and a model takes them over as they are."""

import pytest
import torch
from torch import nn

from adaptive_act.checkpoint.state import is_state, load_state, read_state, require_state
from adaptive_act.errors import CheckpointError
from tests.adaptive_act import models


class Masked(nn.Module):
    """Two layers, and a buffer that no file holds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.register_buffer("mask", torch.ones(2), persistent=False)


def _dtypes(model: nn.Module) -> dict[str, torch.dtype]:
    named = (*model.named_parameters(remove_duplicate=False), *model.named_buffers())
    return {name: tensor.dtype for name, tensor in named}


def test_loading_keeps_precision_and_tied_weights() -> None:
    given = Masked()
    given.first.bias.data = given.first.bias.data.double()
    given.first.weight.data = given.first.weight.data.half()
    model = Masked()
    load_state(model, given.state_dict())
    assert _dtypes(model) == _dtypes(given)
    assert model.second.weight is model.first.weight
    assert torch.equal(model.first.weight, given.first.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_buffer_that_no_file_holds_goes_with_the_others(dtype: torch.dtype) -> None:
    model = Masked()
    load_state(model, Masked().to(dtype).state_dict())
    assert set(_dtypes(model).values()) == {dtype}


@pytest.mark.parametrize(
    "other", [3, None, torch.empty(10**12, device="meta"), torch.eye(3).to_sparse()], ids=str
)
def test_what_is_no_tensor_with_its_numbers_is_no_state(other: object) -> None:
    assert is_state({"a": torch.zeros(1)})
    assert not is_state({"a": torch.zeros(1), "b": other})


def test_an_empty_state_dict_is_no_file() -> None:
    assert read_state(models.Plain()) == {}
    assert is_state({})
    with pytest.raises(CheckpointError, match=r"expected a state_dict .* in `f.pt`, found a `dict`"):
        require_state({}, "f.pt")
