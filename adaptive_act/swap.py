"""Replaces plain activations by adaptive ones without changing what the model computes."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.errors import FixedPointError, SwapError
from adaptive_act.install import install, install_modules, site_of
from adaptive_act.outputs import Example, largest_change, outputs
from adaptive_act.plain import PLAIN
from adaptive_act.search import Found, find
from adaptive_act.site import Site, Skipped

Kind = type[Activation] | Callable[..., Activation]
"""An activation class, or `functools.partial` of one with its options."""

UNCHANGED = 1e-6
"""The largest difference, relative to the outputs' scale, that counts as rounding."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a swap changed and left, and how far the outputs moved (None where no example was given)."""

    changed: tuple[Site, ...]
    skipped: tuple[Skipped, ...]
    parameters_added: int
    largest_change: float | None

    def __str__(self) -> str:
        lines = [f"{site.layer}: {site.replaced} -> {site.activation}" for site in self.changed]
        lines += [str(entry) for entry in self.skipped]
        lines.append(f"{len(self.changed)} swapped, {self.parameters_added} parameters added")
        if self.largest_change is None:
            lines.append("outputs not compared: pass example= to have that done")
        else:
            lines.append(f"largest change of the outputs on the example: {self.largest_change:.2g}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Swapped:
    """The model with its new activations, and the report of what changed."""

    model: nn.Module
    report: Report = field(repr=False)


def swap(
    model: nn.Module,
    activations: Mapping[type[nn.Module], Kind],
    *,
    where: str = "*",
    preserve: bool = True,
    per_channel: bool = False,
    example: Example | None = None,
) -> Swapped:
    """A copy of `model` in which plain activations are adaptive ones, with the same outputs.

    `activations` maps a plain torch activation to the one that takes its place, in modules and in calls such
    as `F.relu(x)`; each place gets parameters of its own. `where` is a pattern on the layer's name, such as
    "features.*". Each starts at its fixed point, so that the outputs stay what they were; with
    `preserve=False` one that has no fixed point there starts at its own initial values. `per_channel` learns
    parameters for each channel, which are counted by running `example`; where an example is given, the
    outputs on it are compared before and after, in evaluation mode.

    Raises SwapError where nothing was found to swap or the outputs changed, and FixedPointError where an
    activation cannot equal what it should replace. The given model is not changed.
    """
    if per_channel and example is None:
        raise SwapError("`per_channel=True` counts channels by running the model: pass `example=` as well")
    swapped = copy.deepcopy(model)
    found, skipped = find(swapped, activations)
    found = [entry for entry in found if fnmatchcase(entry[0].layer, where)]
    if not found:
        raise SwapError(_nothing_found(model, activations, where, skipped))
    install(swapped, [_activation(entry, activations, preserve) for entry in found])
    if per_channel and example is not None:
        found = _with_channels(swapped, found, example)
        install_modules(swapped, [_activation(entry, activations, preserve) for entry in found])
    change = None if example is None else largest_change(model, swapped, example)
    if preserve and change is not None and not change <= UNCHANGED:
        raise SwapError(
            f"the outputs on the example changed by {change:.2g} of their scale, expected at most "
            f"{UNCHANGED:g}; the model uses an activation in a way that a swap does not keep"
        )
    skipped = [entry for entry in skipped if fnmatchcase(entry.layer, where)]
    return Swapped(swapped, _report(swapped, [site.layer for site, _ in found], skipped, change))


def _activation(found: Found, activations: Mapping[type[nn.Module], Kind], preserve: bool) -> Activation:
    """The adaptive activation for a site, at the fixed point of what stands there."""
    site, plain = found
    kind, options = _kind_and_options(activations[type(plain)])
    options = {"channels": site.channels} | options
    try:
        activation = kind.at_fixed_point(plain, **options)
    except FixedPointError as error:
        if preserve:
            raise FixedPointError(
                f"layer `{site.layer}`: {error}. Choose one that equals `{type(plain).__name__}` "
                f"({', '.join(_at_fixed_point(plain))}), or pass `preserve=False` to start "
                f"`{kind.__name__}` at its own initial values"
            ) from error
        activation = kind(**options)
    activation.site = replace(
        site,
        activation=kind.__name__,
        options=activation.options(),
        channels=activation.channels,
        channel_axis=activation.channel_axis,
    )
    return activation


def _kind_and_options(kind: Kind) -> tuple[type[Activation], dict[str, Any]]:
    chosen, options = (kind.func, kind.keywords) if isinstance(kind, functools.partial) else (kind, {})
    if not (isinstance(chosen, type) and issubclass(chosen, Activation)):
        raise SwapError(
            f"expected an activation class of adaptive_act ({', '.join(ACTIVATIONS)}), got `{kind}`"
        )
    return chosen, dict(options)


def _at_fixed_point(plain: nn.Module) -> list[str]:
    return [name for name, kind in ACTIVATIONS.items() if type(plain) in kind.fixed_points]


def _nothing_found(
    model: nn.Module, activations: Mapping[type[nn.Module], Kind], where: str, skipped: Sequence[Skipped]
) -> str:
    wanted = " or ".join(f"`{kind.__name__}`" for kind in activations) or "no kind at all"
    everything, _ = find(copy.deepcopy(model), [plain.module for plain in PLAIN.values()])
    has = ", ".join(f"`{site.layer}` ({site.replaced})" for site, _ in everything) or "none"
    left = "".join(f"\n{entry}" for entry in skipped)
    return f"found {wanted} nowhere in `{type(model).__name__}` where=`{where}`; its activations: {has}{left}"


def _with_channels(model: nn.Module, found: Sequence[Found], example: Example) -> list[Found]:
    """The same sites with the number of channels that each one's input has on the example."""
    sizes: dict[str, set[int]] = {site.layer: set() for site, _ in found}

    def count(layer: str, activation: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(activation, Activation)
        sizes[layer].add(inputs[0].shape[activation.channel_axis])

    hooks = [
        model.get_submodule(layer).register_forward_pre_hook(functools.partial(count, layer))
        for layer in sizes
    ]
    outputs(model, example)
    for hook in hooks:
        hook.remove()
    for layer, seen in sizes.items():
        if len(seen) != 1:
            raise SwapError(
                f"layer `{layer}` met {sorted(seen)} channels on the example, expected one number"
            )
    return [(replace(site, channels=sizes[site.layer].pop()), plain) for site, plain in found]


def _report(
    model: nn.Module, layers: Sequence[str], skipped: Sequence[Skipped], change: float | None
) -> Report:
    added = [module for module in map(model.get_submodule, layers) if isinstance(module, Activation)]
    return Report(
        changed=tuple(site_of(activation) for activation in added),
        skipped=tuple(skipped),
        parameters_added=sum(p.numel() for activation in added for p in activation.parameters()),
        largest_change=change,
    )
