"""Replaces plain activations by adaptive ones without changing what the model computes."""

import copy
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from adaptive_act.activation import Activation
from adaptive_act.activations import ACTIVATIONS
from adaptive_act.errors import FixedPointError, SwapError
from adaptive_act.plain import PLAIN
from adaptive_act.site import Skipped
from adaptive_act.swapping.copying import copy_model, copy_sharing_parameters
from adaptive_act.swapping.find import FoundSite, find_sites
from adaptive_act.swapping.install import install, require_site
from adaptive_act.swapping.observe import Channels, observe_channels
from adaptive_act.swapping.outputs import Example, change_in_float64, largest_change
from adaptive_act.swapping.report import Report, Swapped

ActivationKind = type[Activation] | Callable[..., Activation]
"""An activation class, or `functools.partial` of one with its options."""
UNCHANGED = 1e-6
"""The largest difference, relative to the outputs' scale, that counts as none; in float64 where need be."""


def swap(  # noqa: PLR0913  # each argument is a choice of the user
    model: nn.Module,
    activations: Mapping[type[nn.Module], ActivationKind],
    *,
    where: str | Sequence[str] = "*",
    first: int | None = None,
    last: int | None = None,
    preserve: bool = True,
    per_channel: bool = False,
    channel_axis: int | None = None,
    example: Example | None = None,
    dry_run: bool = False,
) -> Swapped:
    """A copy of `model` in which plain activations are adaptive ones, with the same outputs.

    `activations` maps a plain activation to the one that takes its place: in modules, in other libraries'
    modules that compute the same, in calls such as `F.relu(x)`, and in functions that a module holds; each
    place gets parameters of its own. `where` is a pattern on the layer's name, such as "features.*", or
    several; of these layers, `first=k` or `last=k` takes the k that the forward meets first or last.

    Each starts at its fixed point, so that the outputs stay what they were; with `preserve=False` one that
    has no fixed point there starts at its own initial values. `per_channel` learns parameters for each
    channel; they lie along `channel_axis`, which is found out where it is None. Counting layers or channels
    takes an `example` to run, on which the outputs are compared before and after, in evaluation mode.
    With `dry_run`, the model that comes back is the given one, and the report says what would change.

    Raises SwapError where nothing was found to swap or the outputs changed, and FixedPointError where an
    activation cannot equal what it should replace. The given model is not changed.
    """
    _require_classes(activations)
    kinds = {plain: _kind_and_options(kind) for plain, kind in activations.items()}
    counting = _require_countable(first, last)
    scratch = copy_sharing_parameters(model)
    sites, skipped = find_sites(scratch, kinds)
    patterns = (where,) if isinstance(where, str) else tuple(where)
    sites = [site for site in sites if _matches_any(site.site.layer, patterns)]
    skipped = [site for site in skipped if _is_concerned(site, patterns)]
    counting |= per_channel or any(_needs_channels(*kind) for kind in kinds.values())
    if sites and counting:
        channels = observe_channels(scratch, sites, _require_example(example), channel_axis)
        sites, idle = _select_running(sites, channels, slice(-last if last else None, first))
        sites, unclear = _add_channels(sites, channels, kinds, per_channel)
        skipped += idle + unclear
    if not sites:
        raise SwapError(_describe_nothing_found(model, activations, patterns, skipped))
    activations_added = [_make_activation(site, *kinds[site.kind], preserve=preserve) for site in sites]
    if dry_run:
        return Swapped(model, _make_report(activations_added, skipped, None, dry_run=True))
    swapped = copy_model(model)
    install(swapped, activations_added)
    change = None if example is None else largest_change(model, swapped, example)
    if preserve and example is not None and change is not None and not change <= UNCHANGED:
        _require_rounding(model, swapped, example, change)
    return Swapped(swapped, _make_report(activations_added, skipped, change))


def _require_classes(plains: Iterable[object]) -> None:
    for plain in plains:
        if not (isinstance(plain, type) and issubclass(plain, nn.Module)):
            raise SwapError(f"expected a class of torch's activations, such as nn.ReLU, got `{plain}`")


def _kind_and_options(kind: ActivationKind) -> tuple[type[Activation], dict[str, Any]]:
    chosen, options = (kind.func, kind.keywords) if isinstance(kind, functools.partial) else (kind, {})
    if not (isinstance(chosen, type) and issubclass(chosen, Activation)):
        raise SwapError(
            f"expected an activation class of adaptive_act ({', '.join(ACTIVATIONS)}), got `{kind}`"
        )
    return chosen, dict(options)


def _needs_channels(kind: type[Activation], options: Mapping[str, Any]) -> bool:
    return not kind.elementwise and "channels" not in options


def _require_countable(first: int | None, last: int | None) -> bool:
    counts = [count for count in (first, last) if count is not None]
    if len(counts) > 1 or any(count < 1 for count in counts):
        raise ValueError(f"expected `first` or `last` layers, at least 1, got first={first}, last={last}")
    return bool(counts)


def _require_example(example: Example | None) -> Example:
    if example is None:
        raise SwapError("layers and channels are counted by running the model: pass `example=` as well")
    return example


def _require_rounding(before: nn.Module, after: nn.Module, example: Example, change: float) -> None:
    """Raises SwapError where the outputs changed by more than rounding, which is gone in float64."""
    exact = change_in_float64(before, after, example)
    if exact is None or not exact <= UNCHANGED:
        raise SwapError(
            f"the outputs on the example changed by {change:.2g} of their scale, expected at most "
            f"{UNCHANGED:g}; the model uses an activation in a way that a swap does not keep"
        )


def _matches_any(layer: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer, pattern) for pattern in patterns)


def _is_concerned(entry: Skipped, patterns: Sequence[str]) -> bool:
    """Whether the entry's layer, or a call in it, could have been meant."""
    return not entry.layer or _matches_any(entry.layer, patterns) or _matches_any(f"{entry.layer}.", patterns)


def _select_running(
    sites: Sequence[FoundSite], channels: Mapping[str, Channels], chosen: slice
) -> tuple[list[FoundSite], list[Skipped]]:
    """The chosen ones in the order in which they run, and those that do not run at all."""
    by_layer = {site.site.layer: site for site in sites}
    idle = [
        Skipped(layer, site.site.replaced, "it did not run on the example")
        for layer, site in by_layer.items()
        if layer not in channels
    ]
    return [by_layer[layer] for layer in list(channels)[chosen]], idle


def _add_channels(
    sites: Sequence[FoundSite],
    channels_by_layer: Mapping[str, Channels],
    kinds: Mapping[type[nn.Module], tuple[type[Activation], dict[str, Any]]],
    per_channel: bool,
) -> tuple[list[FoundSite], list[Skipped]]:
    """The sites, with their channels where they are needed, and those whose channels are not known."""
    counted: list[FoundSite] = []
    unclear: list[Skipped] = []
    for found_site in sites:
        channels = channels_by_layer[found_site.site.layer]
        if not per_channel and not _needs_channels(*kinds[found_site.kind]):
            counted.append(found_site)
        elif channels.problem is not None:
            unclear.append(Skipped(found_site.site.layer, found_site.site.replaced, channels.problem))
        else:
            site = replace(found_site.site, channels=channels.count, channel_axis=channels.axis)
            counted.append(replace(found_site, site=site))
    return counted, unclear


def _make_activation(
    found: FoundSite, kind: type[Activation], options: Mapping[str, Any], *, preserve: bool
) -> Activation:
    """The adaptive activation for a site, at the fixed point of the plain one."""
    site, plain = found.site, copy.deepcopy(found.plain).cpu()
    if isinstance(plain, nn.PReLU) and plain.num_parameters > 1:  # torch has its channels on axis 1
        site = replace(site, channels=plain.num_parameters, channel_axis=1)
    given = {"channels": site.channels, "channel_axis": site.channel_axis} | dict(options)
    try:
        activation = kind.at_fixed_point(plain, **given)
    except FixedPointError as error:
        if preserve:
            raise FixedPointError(
                f"layer `{site.layer}`: {error}. Choose one that equals `{type(plain).__name__}` "
                f"({', '.join(_list_equals(plain))}), or pass `preserve=False` to start "
                f"`{kind.__name__}` at its own initial values"
            ) from error
        activation = kind(**given)
    activation.site = replace(
        site,
        activation=kind.__name__,
        options=activation.options(),
        channels=activation.channels,
        channel_axis=activation.channel_axis,
    )
    return activation


def _list_equals(plain: nn.Module) -> list[str]:
    return [name for name, kind in ACTIVATIONS.items() if type(plain) in kind.fixed_points]


def _describe_nothing_found(
    model: nn.Module,
    activations: Mapping[type[nn.Module], ActivationKind],
    where: Sequence[str],
    skipped: Sequence[Skipped],
) -> str:
    wanted = " or ".join(f"`{kind.__name__}`" for kind in activations) or "no kind at all"
    everything, _ = find_sites(
        copy_sharing_parameters(model), {plain.module: None for plain in PLAIN.values()}
    )
    has = ", ".join(f"`{entry.site.layer}` ({entry.site.replaced})" for entry in everything) or "none"
    left = "".join(f"\n{entry}" for entry in skipped)
    patterns = ", ".join(f"`{pattern}`" for pattern in where)
    return (
        f"found {wanted} nowhere in `{type(model).__name__}` where={patterns}; its activations: {has}{left}"
    )


def _make_report(
    added: Sequence[Activation],
    skipped: Sequence[Skipped],
    change: float | None,
    *,
    dry_run: bool = False,
) -> Report:
    return Report(
        changed=tuple(require_site(activation) for activation in added),
        skipped=tuple(skipped),
        parameters_added=sum(p.numel() for activation in added for p in activation.parameters()),
        largest_change=change,
        dry_run=dry_run,
    )
