"""Copies of models, also of those that keep what they computed."""

import copy
from collections.abc import Iterator, Mapping

from torch import Tensor, nn


def copy_model(model: nn.Module, known: Mapping[int, object] | None = None) -> nn.Module:
    """A deep copy of the model, in which what `known` has by its id stands for the object itself.

    A tensor that the model computed and keeps, as `torch.nn.utils.weight_norm` and `spectral_norm` do, has no
    history in the copy: torch refuses to copy one.
    """
    computed = {id(tensor): tensor.detach().clone() for tensor in _list_computed(model)}
    return copy.deepcopy(model, {**computed, **(known or {})})


def copy_sharing_parameters(model: nn.Module) -> nn.Module:
    """A copy of `model` that has its own modules and buffers, and the same parameters."""
    return copy_model(model, {id(parameter): parameter for parameter in model.parameters()})


def _list_computed(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        for value in (*vars(module).values(), *module._buffers.values()):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                yield value
