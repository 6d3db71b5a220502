"""A state_dict: what a file may hold of it, and how it is loaded into a model."""

from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor, nn

from adaptive_act.errors import CheckpointError


def is_state(content: object) -> TypeGuard[dict[str, Tensor]]:
    """Whether it maps names to tensors; the state_dict of a model without tensors is empty."""
    return isinstance(content, dict) and all(
        isinstance(name, str) and _is_dense(value) for name, value in content.items()
    )


def require_state(content: object, where: str) -> dict[str, Tensor]:
    """The tensors of a bare state_dict, by name; raises CheckpointError where the content is none."""
    if not (is_state(content) and content):
        raise CheckpointError(
            f"expected a state_dict (names and tensors) in `{where}`, found {describe_content(content)}"
        )
    return content


def describe_content(content: object) -> str:
    """The kind of a file's content, in words."""
    return "a bare state_dict" if is_state(content) and content else f"a `{type(content).__name__}`"


def read_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's state_dict; raises CheckpointError where it holds anything but tensors, as no file may."""
    state: dict[str, object] = model.state_dict()
    other = next((name for name, value in state.items() if not _is_dense(value)), None)
    if other is not None:
        raise CheckpointError(
            f"`{other}` in the state_dict of `{type(model).__name__}` is a `{type(state[other]).__name__}`, "
            "expected a dense tensor: a quantised module or `get_extra_state` gives other things; save the "
            "float model, and keep what is no tensor in `factory_kwargs`"
        )
    assert is_state(state)
    return dict(state)


def load_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Gives `model` the tensors of the state_dict, each with the dtype that it has there.

    A buffer that is not there goes with those of its dtype, where they all have one there. Raises what
    `load_state_dict` does where the names or shapes are another model's.
    """
    named = (model.named_parameters, model.named_buffers)
    tensors = {name: tensor for every in named for name, tensor in every(remove_duplicate=False)}
    dtypes: dict[torch.dtype, set[torch.dtype]] = {}
    for name, tensor in tensors.items():
        if name in state:
            dtypes.setdefault(tensor.dtype, set()).add(state[name].dtype)
    for name, tensor in tensors.items():
        wanted = {state[name].dtype} if name in state else dtypes.get(tensor.dtype, set())
        if len(wanted) == 1 and wanted != {tensor.dtype}:
            tensor.data = tensor.data.to(next(iter(wanted)))
    model.load_state_dict(state)


def _is_dense(value: object) -> bool:
    """Whether it is a tensor whose numbers all lie in the file; other tensors may claim any size."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
