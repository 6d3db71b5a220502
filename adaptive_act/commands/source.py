"""The model that a command is given: a library's, a checkpoint's, or a state_dict's with its factory."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from adaptact.errors import UsageError
from adaptive_act.checkpoint.checkpoint import Checkpoint, restore
from adaptive_act.checkpoint.description import TensorSpec, is_checkpoint
from adaptive_act.checkpoint.factory import build_model, resolve_factory
from adaptive_act.checkpoint.wrapping import find_states, unwrap
from adaptive_act.libraries.library_model import LibraryRequest, is_library_name
from adaptive_act.libraries.load import load_library_model
from adaptive_act.libraries.weights import load_tensors, read_weights

_INPUT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*):(?P<dtype>[a-z0-9]+)\[(?P<shape>[A-Za-z0-9_?, ]*)\]")
_ROWS, _FREE_SIZE = 2, 32


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read the model, as the user says."""

    factory: str | None = None
    factory_kwargs: Mapping[str, Any] | None = None
    inputs: tuple[TensorSpec, ...] = ()
    weights: Path | None = None
    random_weights: bool = False
    state_key: str | None = None


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A model in evaluation mode, and all that a checkpoint says of it."""

    model: nn.Module
    factory: str
    factory_kwargs: Mapping[str, Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None
    longest: Mapping[str, int] = field(default_factory=dict)
    """The largest that free sizes may be, by name."""
    notes: tuple[str, ...] = ()

    def make_example(self) -> tuple[Tensor, ...]:
        """An input of each kind, the same each time: normal numbers, or whole ones of 0 and 1."""
        generator = torch.Generator().manual_seed(0)
        return tuple(self._make_input(spec, generator) for spec in self.inputs)

    def _make_input(self, spec: TensorSpec, generator: torch.Generator) -> Tensor:
        shape = [
            size if isinstance(size, int) else self._fill(size, axis) for axis, size in enumerate(spec.shape)
        ]
        dtype: torch.dtype = getattr(torch, spec.dtype)
        if dtype.is_floating_point:
            return torch.randn(shape, generator=generator).to(dtype)
        return (torch.rand(shape, generator=generator) < 0.5).to(dtype)

    def _fill(self, size: str | None, axis: int) -> int:
        free = _ROWS if axis == 0 else _FREE_SIZE
        return min(free, self.longest.get(size, free)) if size is not None else free


def read_source(source: str, options: SourceOptions) -> SourceModel:
    """The model. Raises AdaptiveActError where it cannot be read, and UsageError where more must be given."""
    if is_library_name(source):
        return _read_library(source, options)
    if options.weights is not None or options.random_weights:
        raise UsageError(
            f"weights are given for a model of a library, and `{source}` is not named as one",
            hint="name the model: timm:resnet50, torchvision:resnet50 or hf:FOLDER",
        )
    path = Path(source)
    content = read_weights(path)
    if is_checkpoint(content):
        return _from_checkpoint(restore(content, source, options.factory, options.factory_kwargs), options)
    return _read_state(content, path, options)


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


def _read_library(source: str, options: SourceOptions) -> SourceModel:
    if options.factory is not None:
        raise UsageError(f"`{source}` names the model, and so does `--factory`; leave one of them out")
    request = LibraryRequest(
        "", options.weights, options.random_weights, options.factory_kwargs or {}, options.state_key
    )
    loaded = load_library_model(source, request)
    return SourceModel(
        loaded.model,
        loaded.factory,
        loaded.factory_kwargs,
        options.inputs or loaded.inputs,
        loaded.outputs,
        loaded.classes,
        loaded.preprocessing,
        loaded.longest,
        loaded.notes,
    )


def _from_checkpoint(checkpoint: Checkpoint, options: SourceOptions) -> SourceModel:
    kwargs = checkpoint.factory_kwargs if options.factory_kwargs is None else options.factory_kwargs
    return SourceModel(
        checkpoint.model,
        options.factory or checkpoint.factory,
        kwargs,
        options.inputs or checkpoint.inputs,
        checkpoint.outputs,
        checkpoint.classes,
        checkpoint.preprocessing,
    )


def _read_state(content: object, path: Path, options: SourceOptions) -> SourceModel:
    states = find_states(content, path)
    if options.factory is None or not options.inputs:
        raise UsageError(
            f"`{path}` is a bare state_dict, which does not say what model it belongs to",
            hint="name the code that builds it, and its inputs: --factory package.module:callable --input "
            "'x:float32[N,3,32,32]'; or a library's model: timm:resnet50 --weights FILE",
        )
    kwargs = options.factory_kwargs or {}
    model = build_model(resolve_factory(options.factory, trusted=True), kwargs)
    state = unwrap(states, options.state_key, model, path)
    load_tensors(model, state.tensors, f"the model of `{options.factory}`", path)
    return SourceModel(model.eval(), options.factory, kwargs, options.inputs, notes=state.notes)
