"""The state of a model and its optimiser, kept in memory."""

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Snapshot:
    """The parameters and all buffers of a model as they were, also buffers that a state_dict leaves out.

    With an optimiser, also its parameters that are not the model's, and what it remembers of each, but not
    its rates, which a scheduler owns. The copies of the model lie where it is, or on `device`.
    """

    def __init__(
        self, model: nn.Module, optimizer: Optimizer | None = None, device: torch.device | str | None = None
    ) -> None:
        self._model, self._optimizer = model, optimizer
        self.tensors = {name: _copy_tensor(tensor, device) for name, tensor in _named_tensors(model)}
        own = {id(parameter) for parameter in model.parameters()}
        self._others = [(p, _copy_tensor(p, device)) for p in _parameters(optimizer) if id(p) not in own]
        state = {} if optimizer is None else optimizer.state
        self._state: dict[Tensor, Any] = {key: copy.deepcopy(value) for key, value in state.items()}

    def restore(self) -> None:
        """Restores everything bit for bit, in place, and clears the gradients; may be called again.

        A buffer that was registered since stays as it is.
        """
        with torch.no_grad():
            for name, tensor in _named_tensors(self._model):
                if not _is_expanded(tensor):
                    tensor.copy_(self.tensors.get(name, tensor))
            for parameter, value in self._others:
                parameter.copy_(value)
        for parameter in (*self._model.parameters(), *_parameters(self._optimizer)):
            parameter.grad = None
        if self._optimizer is not None:
            self._optimizer.state.clear()
            self._optimizer.state.update({key: copy.deepcopy(value) for key, value in self._state.items()})


def _named_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return itertools.chain(model.named_parameters(), model.named_buffers())


def _is_expanded(tensor: Tensor) -> bool:
    """Whether elements share a place in memory: nobody can have written into it, nor can we."""
    return any(size > 1 and stride == 0 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _parameters(optimizer: Optimizer | None) -> list[Tensor]:
    groups = [] if optimizer is None else optimizer.param_groups
    return [parameter for group in groups for parameter in group["params"]]


def _copy_tensor(tensor: Tensor, device: torch.device | str | None) -> Tensor:
    return tensor.detach().to(device or tensor.device, copy=True)
