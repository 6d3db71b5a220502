"""The order in which the activation sites of a model run on an example, and the channels of their inputs."""

import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from adaptive_act.swapping.copying import copy_sharing_parameters
from adaptive_act.swapping.find import FoundSite
from adaptive_act.swapping.install import place_modules
from adaptive_act.swapping.outputs import Example, run_model


@dataclass(slots=True)
class _SeenInputs:
    """The shapes of one site's inputs, each with the features of the layer that ran last before."""

    shapes: list[tuple[tuple[int, ...], "_Features | None"]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Features:
    """The number of a layer's output features, and their axis."""

    size: int
    axis: int


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a site's input and their axis; `problem` is why they are not known, or None."""

    count: int = 0
    axis: int = 1
    problem: str | None = None


def observe_channels(
    model: nn.Module, sites: Sequence[FoundSite], example: Example, channel_axis: int | None = None
) -> dict[str, Channels]:
    """The channels at each site that runs on the example, by layer, in the order in which they first run.

    They lie along `channel_axis`. Where that is None, they lie along the feature axis of the last linear,
    convolution, normalisation, recurrent or embedding layer before the site.
    """
    twin = copy_sharing_parameters(model)
    place_modules(twin, [(site.site, copy.deepcopy(site.plain)) for site in sites])
    inputs_by_layer: dict[str, _SeenInputs] = {}
    last_features: list[_Features | None] = [None]
    hooks = [
        module.register_forward_pre_hook(functools.partial(_remember_features, last_features, features))
        for module in twin.modules()
        if (features := _find_features(module)) is not None
    ]
    for layer in (site.site.layer for site in sites):
        hooks.append(
            twin.get_submodule(layer).register_forward_pre_hook(
                _make_recorder(layer, inputs_by_layer, last_features)
            )
        )
    run_model(twin, example)
    return {layer: _find_channels(seen, channel_axis) for layer, seen in inputs_by_layer.items()}


def _remember_features(last: list[_Features | None], features: _Features, *_: object) -> None:
    last[0] = features


def _make_recorder(
    layer: str, met: dict[str, _SeenInputs], last: list[_Features | None]
) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def record(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0]
        assert isinstance(x, Tensor), "an activation acts on a tensor"
        met.setdefault(layer, _SeenInputs()).shapes.append((tuple(x.shape), last[0]))

    return record


# The layers with output features: how many, and along which axis.
_LAYERS: tuple[tuple[tuple[type[nn.Module], ...], Callable[[Any], _Features]], ...] = (
    ((nn.Linear, nn.Bilinear), lambda layer: _Features(layer.out_features, -1)),
    ((_ConvNd,), lambda layer: _Features(layer.out_channels, -1 - len(layer.kernel_size))),
    ((_NormBase,), lambda layer: _Features(layer.num_features, 1)),
    ((nn.GroupNorm,), lambda layer: _Features(layer.num_channels, 1)),
    ((nn.LayerNorm, nn.RMSNorm), lambda layer: _Features(layer.normalized_shape[-1], -1)),
    ((nn.Embedding,), lambda layer: _Features(layer.embedding_dim, -1)),
    ((nn.MultiheadAttention,), lambda layer: _Features(layer.embed_dim, -1)),
    ((nn.RNNBase,), lambda layer: _Features(_recurrent_width(layer), -1)),
)


def _find_features(module: nn.Module) -> _Features | None:
    """The output features of a layer; None for modules without features."""
    return next((features(module) for kinds, features in _LAYERS if isinstance(module, kinds)), None)


def _recurrent_width(layer: nn.RNNBase) -> int:
    return (layer.proj_size or layer.hidden_size) * (2 if layer.bidirectional else 1)


def _find_channels(met: _SeenInputs, channel_axis: int | None) -> Channels:
    axes = {_find_axis(shape, last) if channel_axis is None else channel_axis for shape, last in met.shapes}
    shapes = ", ".join(dict.fromkeys(str(list(shape)) for shape, _ in met.shapes))
    if None in axes or len(axes) > 1:
        return Channels(
            problem=f"which axis of its input {shapes} holds the channels is not clear: say `channel_axis=`"
        )
    (axis,) = axes
    assert axis is not None
    if not all(-len(shape) <= axis < len(shape) for shape, _ in met.shapes):
        return Channels(problem=f"its input {shapes} has no axis {axis}")
    counts = {shape[axis] for shape, _ in met.shapes}
    if len(counts) > 1:
        return Channels(problem=f"its inputs {shapes} differ in their number of channels, along axis {axis}")
    return Channels(counts.pop(), axis)


def _find_axis(shape: tuple[int, ...], last: _Features | None) -> int | None:
    """The axis of the features in a value of this shape; None where it is ambiguous.

    Between the layer and the site, the features of several layers may be concatenated, which keeps the axis
    and makes it longer, or the axis may move, which keeps its size.
    """
    usual = 1 if len(shape) > 1 else 0
    if last is None or not -len(shape) <= last.axis < len(shape):
        return usual
    there = last.axis % len(shape)
    axis = last.axis if last.axis in (-1, 1) or there != 1 else 1
    if shape[there] == last.size:
        return axis
    moved = [place for place, size in enumerate(shape) if place not in (0, there) and size == last.size]
    if not moved:
        return axis
    return moved[0] if len(moved) == 1 and shape[there] < last.size else None
