"""Undoes a swap: `unswap` restores plain activations, `freeze` fixes the learned values."""

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from adaptive_act.activation import PROBE, SAME, Activation, named_activations
from adaptive_act.plain import PLAIN, from_repr
from adaptive_act.swapping.copying import copy_hooks, copy_model
from adaptive_act.swapping.library_modules import update_encoder_layers


@dataclass(frozen=True, slots=True)
class Distance:
    """How far an activation lies from a plain one; `plain` is None where there is none to compare it with.

    The distance is the largest difference of their outputs for inputs within [-30, 30], in any channel.
    """

    layer: str
    activation: str
    plain: str | None
    distance: float

    def __str__(self) -> str:
        if self.plain is None:
            return f"{self.layer}: {self.activation} took the place of something that is not known"
        return f"{self.layer}: {self.activation} is {self.distance:.2g} away from {self.plain}"


@dataclass(frozen=True, slots=True)
class Unswapped:
    """The model, the activations that are plain again in it, and those that stay adaptive."""

    model: nn.Module
    changed: tuple[Distance, ...] = field(repr=False)
    kept: tuple[Distance, ...] = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{entry.layer}: {entry.activation} -> {entry.plain}" for entry in self.changed]
        lines += [f"{entry}, and stays" for entry in self.kept]
        lines.append(f"{len(self.changed)} plain again, {len(self.kept)} still adaptive")
        return "\n".join(lines)


def unswap(model: nn.Module, tolerance: float = 0.0) -> Unswapped:
    """A copy of `model` in which activations that equal what stood there are plain torch modules again.

    An activation that `swap` put in place goes back to what it replaced, so that a checkpoint's factory still
    builds the same model; one that was built by hand goes to the nearest plain one. It must be within
    `tolerance` of that in every channel (see `Distance`), and rounding of 1e-6 always passes. The given model
    is not changed.
    """
    plainer = copy_model(model)
    changed: list[Distance] = []
    kept: list[Distance] = []
    parents: list[nn.Module] = []
    nearest: dict[Activation, tuple[nn.Module | None, float]] = {}
    for layer, activation in named_activations(plainer).items():
        if activation not in nearest:
            nearest[activation] = _find_nearest(activation)
        plain, distance = nearest[activation]
        entry = Distance(layer, type(activation).__name__, None if plain is None else repr(plain), distance)
        if plain is None or not distance <= max(tolerance, SAME):
            kept.append(entry)
            continue
        changed.append(entry)
        copy_hooks(activation, plain)
        if not layer:  # the model is an activation itself
            plainer = plain
            continue
        parent_name, _, name = layer.rpartition(".")
        parents.append(plainer.get_submodule(parent_name))
        parents[-1].add_module(name, plain)
    update_encoder_layers(plainer, parents)
    return Unswapped(plainer, tuple(changed), tuple(kept))


def freeze(model: nn.Module, where: str | Sequence[str] = "*") -> tuple[str, ...]:
    """The names of the layers in `model` whose activations now keep the values that they have.

    Their learned parameters take no gradient any more, so that an optimizer leaves them alone; everything
    else in the model goes on learning. `model` itself is changed; `unfreeze` takes that back.
    """
    return _require_gradients(model, where, False)


def unfreeze(model: nn.Module, where: str | Sequence[str] = "*") -> tuple[str, ...]:
    """The names of the layers in `model` whose activations learn now."""
    return _require_gradients(model, where, True)


def _require_gradients(model: nn.Module, where: str | Sequence[str], learn: bool) -> tuple[str, ...]:
    patterns = (where,) if isinstance(where, str) else tuple(where)
    chosen = {
        layer: activation
        for layer, activation in named_activations(model).items()
        if any(fnmatchcase(layer, pattern) for pattern in patterns)
    }
    for activation in chosen.values():
        activation.requires_grad_(learn)
    return tuple(chosen)


def _find_nearest(activation: Activation) -> tuple[nn.Module | None, float]:
    """The plain module that may replace the activation, and the distance between the two."""
    plains = list(_find_candidates(activation))
    if not plains:
        return None, float("inf")
    distances = [_measure_distance(activation, plain) for plain in plains]
    least = min(distances)
    plain = next(p for p, distance in zip(plains, distances, strict=True) if distance <= least + SAME)
    like = next(iter(activation.state_dict().values()), torch.empty(0))
    return plain.to(like.device, like.dtype).train(activation.training), least


def _find_candidates(activation: Activation) -> Iterator[nn.Module]:
    """The replaced module; for an activation that was built by hand, the plain modules that it can equal."""
    if activation.site is None:
        yield from _fixed_point_modules(activation)
        return
    stood_there = from_repr(activation.site.replaced)
    if stood_there is not None:
        yield stood_there
    else:  # torch's PReLU: the record does not hold its slopes, and those that were learned take their place
        yield from (
            plain for plain in _fixed_point_modules(activation) if repr(plain) == activation.site.replaced
        )


def _fixed_point_modules(activation: Activation) -> Iterator[nn.Module]:
    """The plain modules at the activation's fixed points, those that use the fewest of its values first."""
    values_of = {
        kind: _attribute_values(activation, point) for kind, point in activation.fixed_points.items()
    }
    for kind in sorted(values_of, key=lambda kind: len(values_of[kind])):
        if kind is nn.PReLU:
            yield from (
                _make_prelu(weight) for weight in _prelu_weights(values_of[kind], activation.channel_axis)
            )
            continue
        known = PLAIN[kind.__name__].arguments if kind.__name__ in PLAIN else ()
        arguments = activation.options() | {
            name: value.mean().item() for name, value in values_of[kind].items()
        }
        yield kind(**{name: value for name, value in arguments.items() if name in known})
    for child in activation.children():
        if isinstance(child, Activation):
            yield from _fixed_point_modules(child)
        elif type(child).__name__ in PLAIN:
            yield copy.deepcopy(child)


def _attribute_values(activation: Activation, point: Mapping[str, float | str]) -> dict[str, Tensor]:
    """The learned values that a plain module at this fixed point takes, by attribute name."""
    values = activation.values()
    return {attribute: values[name] for name, attribute in point.items() if isinstance(attribute, str)}


def _prelu_weights(named: Mapping[str, Tensor], channel_axis: int) -> Iterator[Tensor]:
    """The slopes of a torch PReLU that is shared, and of one with channels, which torch has on axis 1."""
    if "weight" in named:
        yield named["weight"].mean(0, keepdim=True)
        if channel_axis == 1:
            yield named["weight"]


def _make_prelu(weight: Tensor) -> nn.PReLU:
    plain = nn.PReLU(len(weight))
    plain.weight = nn.Parameter(weight.clone())
    return plain


def _measure_distance(activation: Activation, plain: nn.Module) -> float:
    twin, plain_twin = (copy.deepcopy(module).cpu().double().eval() for module in (activation, plain))
    channels, axis = activation.channels or 1, activation.channel_axis
    x = _curve_points(channels, axis) if activation.elementwise else _random_map(channels, axis)
    with torch.no_grad():
        difference = (twin.forward(x) - plain_twin.forward(x.clone())).abs().max().item()
    return float("inf") if math.isnan(difference) else difference


def _curve_points(channels: int, axis: int) -> Tensor:
    points = PROBE.reshape(1, 1, -1, 1) if axis % 4 != 2 else PROBE.reshape(1, -1, 1, 1)
    return points.repeat([channels if place == axis % 4 else 1 for place in range(4)])


def _random_map(channels: int, axis: int) -> Tensor:
    """A random input of the same span: regular points can hide what depends on neighbours."""
    sizes = [channels if place == axis % 4 else 5 for place in range(4)]
    return 8 * torch.randn(sizes, dtype=PROBE.dtype, generator=torch.Generator().manual_seed(0))
