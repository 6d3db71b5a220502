"""Puts adaptive activations at their sites: after a search, or from a checkpoint's record."""

from collections.abc import Sequence

from torch import nn

from adaptive_act.activation import Activation
from adaptive_act.errors import SwapError
from adaptive_act.forwards import call_modules
from adaptive_act.site import Site


def install(model: nn.Module, activations: Sequence[Activation]) -> None:
    """Puts each activation at its site in `model`, rewriting the forwards that call functions there.

    Raises SwapError where the model has no such site.
    """
    install_modules(model, activations)
    owners: dict[str, dict[str, str]] = {}
    for site in (site_of(activation) for activation in activations):
        if site.call is not None:
            inside = site.layer.removeprefix(f"{site.owner}.") if site.owner else site.layer
            owners.setdefault(site.owner, {})[site.call] = inside
    for owner, calls in owners.items():
        call_modules(model.get_submodule(owner), calls)


def install_modules(model: nn.Module, activations: Sequence[Activation]) -> None:
    """Registers each activation under its layer's name, on the model's device, in its dtype and mode."""
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    for activation in activations:
        site = site_of(activation)
        parent_name, _, name = site.layer.rpartition(".")
        try:
            parent = model.get_submodule(parent_name)
        except AttributeError as error:
            raise SwapError(
                f"expected a module `{parent_name}` in `{type(model).__name__}`: {error}"
            ) from error
        if site.call is None and name not in parent._modules:
            raise SwapError(f"expected an activation `{site.layer}` in `{type(model).__name__}`, found none")
        if like is not None:
            activation.to(like.device, like.dtype)
        parent.add_module(name, activation.train(model.training))


def site_of(activation: Activation) -> Site:
    """Where the activation belongs."""
    assert activation.site is not None, "only activations with a site are installed"
    return activation.site
