"""Where an activation started: its state after `swap` and before any training."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from adaptive_act.activation import Activation, named_activations
from adaptive_act.errors import ExplainError, FixedPointError
from adaptive_act.plain import from_repr

INITIAL = "its initial values"
"""The origin of a start without a known fixed point."""


@dataclass(frozen=True, slots=True)
class Start:
    """An activation at its starting values, on the learned one's device, and the origin of the values."""

    activation: Activation
    origin: str


@dataclass(frozen=True, slots=True)
class StartedActivation:
    """One activation of a model, whatever the number of its names, and where it started."""

    layer: str
    also: tuple[str, ...]
    activation: Activation
    start: Start


def find_starts(
    model: nn.Module, starts: Mapping[str, Activation] | None = None
) -> tuple[StartedActivation, ...]:
    """Every adaptive activation in `model` once, under its first name, with its start.

    `starts` gives the start of layers by name where the caller knows it, such as `named_activations` of a
    copy made before training; the others' is what `start_of` finds.
    """
    known = starts or {}
    return tuple(
        StartedActivation(
            layer=first,
            also=tuple(others),
            activation=activation,
            start=Start(known[first], "its given start") if first in known else find_start(activation),
        )
        for activation, (first, *others) in distinct_activations(model).items()
    )


def distinct_activations(model: nn.Module) -> dict[Activation, list[str]]:
    """Every adaptive activation in `model` once, with its names; raises ExplainError where there is none."""
    names: dict[Activation, list[str]] = {}
    for name, activation in named_activations(model).items():
        names.setdefault(activation, []).append(name)
    if not names:
        raise ExplainError(f"`{type(model).__name__}` holds no adaptive activation: `swap` some in first")
    return names


def find_start(activation: Activation) -> Start:
    """The fixed point at the plain activation that the swap replaced, else the class's initial values.

    The record of a swap holds no weights, so that one in place of a torch PReLU started at values which are
    not known any more: its initial values stand for them, and `origin` says so. Draws no random numbers.
    """
    with torch.random.fork_rng(devices=[]):
        plain = from_repr(activation.site.replaced) if activation.site else None
        at_fixed_point = None if plain is None else _build_fixed_point(activation, plain)
        start = at_fixed_point or _build_initial(activation)
    origin = f"the fixed point at {plain}" if at_fixed_point else INITIAL
    return Start(match_device(start, activation), origin)


def match_device(start: Activation, activation: Activation) -> Activation:
    """`start`, moved to the device and dtype of `activation`, in evaluation mode."""
    like = next((tensor for tensor in activation.state_dict().values() if tensor.is_floating_point()), None)
    return start.eval() if like is None else start.to(like.device, like.dtype).eval()


def _build_fixed_point(activation: Activation, plain: nn.Module) -> Activation | None:
    kind = type(activation)
    if type(plain) not in kind.fixed_points:
        return None
    options = activation.options()
    chosen = {name: value for name, value in options.items() if name not in kind.options_from(plain)}
    try:
        at_fixed_point = kind.at_fixed_point(plain, activation.channels, activation.channel_axis, **chosen)
    except FixedPointError:
        return None
    return at_fixed_point if at_fixed_point.options() == options else None


def _build_initial(activation: Activation) -> Activation:
    start = type(activation)(activation.channels, activation.channel_axis, **activation.options())
    for name, buffer in start.named_buffers():  # calibration sets buffers, which are not learned
        buffer.copy_(activation.get_buffer(name))
    return start
