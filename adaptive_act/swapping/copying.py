"""Copies of models, also of those that keep what they computed."""

import copy
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

# Where torch keeps them, for each handle that `register_..._hook` gave.
_HOOKS = (
    *("_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called"),
    *("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_backward_hooks", "_backward_pre_hooks"),
)


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


def copy_hooks(module: nn.Module, to: nn.Module) -> None:
    """Gives the hooks on the calls and the gradients of `module` to the one that takes its place."""
    for name in _HOOKS:
        getattr(to, name).update(getattr(module, name))
    to._is_full_backward_hook = module._is_full_backward_hook


def _list_computed(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        for value in (*vars(module).values(), *module._buffers.values()):
            if isinstance(value, Tensor) and value.grad_fn is not None:
                yield value
