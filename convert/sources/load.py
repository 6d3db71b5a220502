"""The first stage: a file becomes a model, with a description of its inputs and outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from adaptive_act.activation import named_activations
from adaptive_act.libraries.library_model import is_library_name, suggest_library
from convert.errors import SourceError, UsageError
from convert.model_io.array import TEXT
from convert.model_io.inputs import InputSpec, share_size_bounds
from convert.sources import graph, library, program, state, torchscript
from convert.sources.kind import Container, recognise
from convert.sources.purity import require_pure
from convert.sources.ranges import add_ranges
from convert.sources.source import Source, SourceRequest

_READERS: Mapping[Container, Callable[[SourceRequest], Source]] = {
    Container.TORCH: state.read,
    Container.PICKLE: state.read,
    Container.TORCHSCRIPT: torchscript.read,
    Container.PROGRAM: program.read,
    Container.ONNX: graph.read,
    Container.SAFETENSORS: state.read_safetensors_source,
}


def load(  # noqa: PLR0913  # each argument is an option of the command
    path: Path,
    factory: str | None = None,
    factory_kwargs: Mapping[str, Any] | None = None,
    inputs: Sequence[InputSpec] = (),
    *,
    allow_pickle: bool = False,
    state_key: str | None = None,
    weights: Path | None = None,
    random_weights: bool = False,
) -> Source:
    """The model in the file, whatever kind of file it is, or of the library that `path` names.

    The user's inputs and factory override those of the file. Nothing is unpickled that could run code, unless
    `allow_pickle`. `state_key` chooses among several state_dicts in it. `path` may be `timm:resnet50`,
    `torchvision:resnet50` or `hf:FOLDER`, with `weights` or random ones. Raises SourceError where the file
    cannot be read or its model is random or changes itself, and UsageError where the user must give more.
    """
    shared = share_size_bounds(inputs)
    return load_request(
        SourceRequest(path, factory, factory_kwargs, shared, allow_pickle, state_key, weights, random_weights)
    )


def load_request(request: SourceRequest) -> Source:
    """The model that is asked for; see `load`."""
    path = request.path
    if is_library_name(str(path)):
        return _check(library.read(request), request)
    if request.weights is not None or request.random_weights:
        raise UsageError(
            f"weights are given for a model of a library, and `{path}` is not named as one",
            hint=suggest_library(str(path))
            or "name the model: timm:resnet50, torchvision:resnet50 or hf:FOLDER",
        )
    text = next((spec.name for spec in request.inputs if spec.dtype == TEXT), None)
    container = recognise(path)
    if text is not None and container is not Container.ONNX:
        raise UsageError(f"input `{text}` holds texts, which a model of torch does not take")
    source = _READERS[container](request)
    if request.state_key is not None and source.kind != state.KIND:
        raise UsageError(f"`--state-key` chooses among state_dicts, and `{path}` is of kind `{source.kind}`")
    return _check(source, request)


def _check(source: Source, request: SourceRequest) -> Source:
    """The source, pure and finite, its inputs bounded by the tables that they index."""
    path = request.path
    _require_finite(source.model, path)
    source.model.requires_grad_(False)  # torch's counter of operations fails on a view of a weight that does
    if source.graph is not None:
        return source
    require_pure(source.model, source.inputs)
    return replace(source, inputs=add_ranges(source.model, source.inputs))


def _require_finite(model: nn.Module, path: Path) -> None:
    """Raises SourceError where an activation has learned what is no number."""
    for layer, activation in named_activations(model).items():
        for name, values in activation.named_parameters():
            if not values.isfinite().all():
                raise SourceError(
                    f"`{path}`: the learned `{name}` of activation `{layer}` is not finite",
                    hint="its training diverged: take a state from before that, as `training.Guard` does",
                )
