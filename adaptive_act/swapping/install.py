"""Puts modules at activation sites: after a search, or from a checkpoint's record."""

from collections.abc import Iterable, Sequence

from torch import nn

from adaptive_act.activation import Activation
from adaptive_act.errors import SwapError
from adaptive_act.site import Site
from adaptive_act.swapping.copying import copy_hooks
from adaptive_act.swapping.forwards import call_modules
from adaptive_act.swapping.library_modules import (
    find_held_functions,
    replace_held_function,
    update_encoder_layers,
)
from adaptive_act.swapping.rewrite import rewrite_methods


def install(model: nn.Module, activations: Sequence[Activation]) -> None:
    """Puts each activation at its site in `model`, on the model's device, in its dtype and mode.

    Raises SwapError where the model has no such site.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    for activation in activations:
        if like is not None:
            activation.to(like.device, like.dtype)
    place_modules(model, [(require_site(activation), activation) for activation in activations])


def place_modules(model: nn.Module, modules: Iterable[tuple[Site, nn.Module]]) -> None:
    """Puts each module at its site in `model`, rewriting the forwards that call functions there.

    Raises SwapError where the model has no such site.
    """
    sites: list[Site] = []
    parents: list[nn.Module] = []
    for site, module in modules:
        sites.append(site)
        parents.append(put_module(model, site, module))
    update_encoder_layers(model, parents)
    for owner in dict.fromkeys(site.owner for site in sites if site.call is not None):
        _redirect_calls(model.get_submodule(owner), [site for site in sites if site.owner == owner])


def _redirect_calls(owner: nn.Module, sites: Iterable[Site]) -> None:
    """Rewrites the owner's graph or source so that it calls the modules in place of the functions."""
    inside = [(site.call, site.layer.removeprefix(f"{site.owner}."), site.replaced) for site in sites]
    nodes = {call: name for call, name, _ in inside if call is not None and ":" not in call}
    places = {call: (name, replaced) for call, name, replaced in inside if call is not None and ":" in call}
    if nodes:
        call_modules(owner, nodes)
    if places:
        rewrite_methods(owner, places)


def put_module(model: nn.Module, site: Site, module: nn.Module) -> nn.Module:
    """Registers `module` under the site's layer name and returns its parent module."""
    parent_name, _, name = site.layer.rpartition(".")
    try:
        parent = model.get_submodule(parent_name)
    except AttributeError as error:
        raise SwapError(f"expected a module `{parent_name}` in `{type(model).__name__}`: {error}") from error
    module.train(model.training)
    replaced = parent._modules.get(name)
    if replaced is not None:
        copy_hooks(replaced, module)
    if site.call is None and name in find_held_functions(parent):
        replace_held_function(parent, name, module)
    elif site.call is None and name not in parent._modules:
        raise SwapError(f"expected an activation `{site.layer}` in `{type(model).__name__}`, found none")
    else:
        parent.add_module(name, module)
    return parent


def require_site(activation: Activation) -> Site:
    """The activation's site, which it must have."""
    assert activation.site is not None, "only activations with a site are installed"
    return activation.site
