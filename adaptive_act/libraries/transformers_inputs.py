"""The inputs of a model of transformers, from its forward and its configuration."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from adaptive_act.checkpoint.description import TensorSpec
from adaptive_act.errors import LibraryError

LENGTH = "length"
"""The name of the free length of texts."""
_MOST_TRIED = 4096  # tokens: a longer run takes too long to find out whether it works
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def describe_inputs(model: nn.Module, images: Mapping[str, Any] | None) -> tuple[TensorSpec, ...]:
    """The inputs, as a tokenizer or an image processor gives them; `images` describes the latter.

    Raises LibraryError where the model takes neither texts nor images.
    """
    main = getattr(model, "main_input_name", "")
    taken = inspect.signature(model.forward).parameters
    config: Any = model.config
    if main == "pixel_values":
        return (TensorSpec("pixel_values", "float32", (None, *_find_image(config, images))),)
    if main != "input_ids" or getattr(config, "is_encoder_decoder", False):
        what = f"takes `{main}`" if main != "input_ids" else "has an encoder and a decoder"
        raise LibraryError(
            f"`{type(model).__name__}` {what}, and only models of texts (`input_ids`) and of images "
            "(`pixel_values`) are read from a folder",
            hint="name a function of yours that builds it: --factory package.module:callable, --input",
        )
    names = ["input_ids", *(name for name in ("attention_mask",) if name in taken)]
    if "token_type_ids" in taken and (getattr(config, "type_vocab_size", 0) or 0) > 1:
        names.append("token_type_ids")
    return tuple(TensorSpec(name, "int64", (None, LENGTH)) for name in names)


def find_longest(model: nn.Module) -> int | None:
    """The most tokens that the model takes, found by running it; None where its config has no limit."""
    config: Any = model.config
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int) or not 1 < most <= _MOST_TRIED:
        return None
    padding = getattr(config, "pad_token_id", None)
    # RoBERTa and its like count positions from the one after that of the padding.
    tries = (most, most - padding - 1) if isinstance(padding, int) else (most,)
    return next((length for length in tries if length > 1 and _runs(model, length)), None)


def _runs(model: nn.Module, length: int) -> bool:
    config: Any = model.config
    token = 1 if getattr(config, "pad_token_id", None) != 1 else 2  # a padding token has no position
    ids = torch.full((1, length), min(token, config.vocab_size - 1))
    try:
        with torch.no_grad():
            model(input_ids=ids, attention_mask=torch.ones_like(ids))
    except _FAILURES:
        return False
    return True


def _find_image(config: Any, images: Mapping[str, Any] | None) -> tuple[int, int, int]:
    """Channels, height and width."""
    size = (images or {}).get("crop") or (images or {}).get("resize") or getattr(config, "image_size", None)
    sides = list(size) if isinstance(size, list | tuple) and len(size) == 2 else [size, size]
    channels, height, width = (
        side if isinstance(side, int) and side > 0 else None
        for side in (getattr(config, "num_channels", 3), *sides)
    )
    if channels is None or height is None or width is None:
        raise LibraryError(
            "neither config.json nor preprocessor_config.json says of what size the images are",
            hint="add it: --input 'pixel_values:float32[N,3,224,224]'",
        )
    return channels, height, width
