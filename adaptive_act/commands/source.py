"""The model that a command is given: a library's, a checkpoint's, or a state_dict's with its factory."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adaptact.errors import UsageError
from adaptive_act.checkpoint.checkpoint import Checkpoint, restore
from adaptive_act.checkpoint.description import TensorSpec, is_checkpoint
from adaptive_act.checkpoint.factory import build_model, resolve_factory
from adaptive_act.checkpoint.wrapping import find_states, unwrap
from adaptive_act.libraries.library_model import (
    DescribedModel,
    LibraryRequest,
    is_library_name,
    suggest_library,
)
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.weights import load_tensors, read_weights

_INPUT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*):(?P<dtype>[a-z0-9]+)\[(?P<shape>[A-Za-z0-9_?, ]*)\]")
_ROWS, _FREE_SIZE = 2, 32


def read_source(
    source: str, request: LibraryRequest, factory: str | None = None, inputs: tuple[TensorSpec, ...] = ()
) -> DescribedModel:
    """The model, with the user's weights and options, its factory and its inputs where they are given.

    Raises AdaptiveActError where it cannot be read, and UsageError where more must be given.
    """
    if is_library_name(source):
        if factory is not None:
            raise UsageError(f"`{source}` names the model, and so does `--factory`; leave one of them out")
        loaded = load_library_model(source, request)
        return replace(loaded, inputs=inputs or loaded.inputs)
    if request.weights is not None or request.random_weights:
        raise UsageError(
            f"weights are given for a model of a library, and `{source}` is not named as one",
            hint=suggest_library(source)
            or "name the model: timm:resnet50, torchvision:resnet50 or hf:FOLDER",
        )
    path = Path(source)
    if not path.exists() and (question := suggest_library(source)) is not None:
        raise UsageError(f"there is no file `{source}`", hint=question)
    content = read_weights(path)
    if is_checkpoint(content):
        return _describe(restore(content, source, factory, request.options), request.options, factory, inputs)
    return _read_state(find_states(content, path), path, request, factory, inputs)


def make_example(given: DescribedModel) -> tuple[Tensor, ...]:
    """An input of each kind, the same each time: normal numbers, or whole ones of 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    return tuple(_make_input(spec, given.longest, generator) for spec in given.inputs)


def _make_input(spec: TensorSpec, longest: Mapping[str, int], generator: torch.Generator) -> Tensor:
    shape = [
        size if isinstance(size, int) else _fill(size, axis, longest) for axis, size in enumerate(spec.shape)
    ]
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator).to(dtype)
    return (torch.rand(shape, generator=generator) < 0.5).to(dtype)


def _fill(size: str | None, axis: int, longest: Mapping[str, int]) -> int:
    free = _ROWS if axis == 0 else _FREE_SIZE
    return min(free, longest.get(size, free)) if size is not None else free


def parse_inputs(texts: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The inputs that `name:float32[N,3,32,32]` describe; words are free sizes. Raises UsageError."""
    return tuple(map(_parse_input, texts))


def _parse_input(text: str) -> TensorSpec:
    match = _INPUT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"input `{text[:200]}` cannot be read, expected `name:float32[N,3,32,32]`")
    sizes = [size.strip() for size in match["shape"].split(",")] if match["shape"].strip() else []
    shape = tuple(
        int(size) if size.isdigit() else (None if axis == 0 or size == "?" else size)
        for axis, size in enumerate(sizes)
    )
    try:
        return TensorSpec(match["name"], match["dtype"], shape)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _describe(
    checkpoint: Checkpoint,
    kwargs: Mapping[str, Any] | None,
    factory: str | None,
    inputs: tuple[TensorSpec, ...],
) -> DescribedModel:
    return DescribedModel(
        checkpoint.model,
        factory or checkpoint.factory,
        checkpoint.factory_kwargs if kwargs is None else kwargs,
        inputs or checkpoint.inputs,
        checkpoint.outputs,
        checkpoint.classes,
        checkpoint.preprocessing,
    )


def _read_state(
    states: Mapping[str, dict[str, Tensor]],
    path: Path,
    request: LibraryRequest,
    factory: str | None,
    inputs: tuple[TensorSpec, ...],
) -> DescribedModel:
    if factory is None or not inputs:
        raise UsageError(
            f"`{path}` is a bare state_dict, which does not say what model it belongs to",
            hint="name the code that builds it, and its inputs: --factory package.module:callable --input "
            "'x:float32[N,3,32,32]'; or a library's model: timm:resnet50 --weights FILE",
        )
    kwargs = request.options or {}
    model = build_model(resolve_factory(factory, trusted=True), kwargs)
    state = unwrap(states, request.state_key, model, path)
    load_tensors(model, state.tensors, f"the model of `{factory}`", path)
    return DescribedModel(model.eval(), factory, kwargs, inputs, notes=state.notes)
