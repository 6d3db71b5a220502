"""torch's transformer encoder clears padding: in evaluation mode its layers give 0 where the padding mask is.

It does so only for a batch whose padding is at the end of every sample, where it computes on nested tensors.
torch.export follows the other way, on which padding holds numbers without a meaning.
"""

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


@contextlib.contextmanager
def clear_padding(model: nn.Module) -> Iterator[None]:
    """Within the block, the encoders of the model clear padding by operators that can be exported."""
    with contextlib.ExitStack() as stack:
        for module in model.modules():
            if isinstance(module, nn.TransformerEncoder) and module.use_nested_tensor:
                stack.enter_context(_clear_in(module))
        yield


@contextlib.contextmanager
def _clear_in(encoder: nn.TransformerEncoder) -> Iterator[None]:
    arguments: dict[str, Any] = {}
    signature = inspect.signature(nn.TransformerEncoder.forward)

    def remember(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arguments.clear()
        arguments.update(signature.bind(module, *args, **kwargs).arguments)

    def clear(module: nn.Module, args: tuple[Any, ...], result: Tensor) -> Tensor:
        mask = arguments.get("src_key_padding_mask")
        if mask is None or arguments.get("mask") is not None or result.dim() != 3:
            return result
        return _clear(result, mask if mask.dtype == torch.bool else mask != 0)

    handles = (
        encoder.register_forward_pre_hook(remember, with_kwargs=True),
        encoder.layers[-1].register_forward_hook(clear),
    )
    encoder.use_nested_tensor = False  # also where `mask_check` is off, and torch would trace nested tensors
    try:
        yield
    finally:
        encoder.use_nested_tensor = True
        for handle in handles:
            handle.remove()


def _clear(result: Tensor, padding: Tensor) -> Tensor:
    """[N, T, E], [N, T] -> [N, T, E], 0 at padding if no sample has padding before other places."""
    is_at_end = (padding[:, 1:] | ~padding[:, :-1]).all()
    return torch.where((padding & is_at_end).unsqueeze(-1), 0.0, result)
