"""Puts modules at activation sites: after a search, or from a checkpoint's record."""

from collections.abc import Iterable, Sequence

from torch import nn

from adaptive_act.activation import Activation
from adaptive_act.errors import SwapError
from adaptive_act.site import Site
from adaptive_act.swapping.forwards import call_modules
from adaptive_act.swapping.library_modules import held, hold, settle
from adaptive_act.swapping.rewrite import rewrite


def install(model: nn.Module, activations: Sequence[Activation]) -> None:
    """Puts each activation at its site in `model`, on the model's device, in its dtype and mode.

    Raises SwapError where the model has no such site.
    """
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    for activation in activations:
        if like is not None:
            activation.to(like.device, like.dtype)
    place(model, [(site_of(activation), activation) for activation in activations])


def place(model: nn.Module, modules: Iterable[tuple[Site, nn.Module]]) -> None:
    """Puts each module at its site in `model`, rewriting the forwards that call functions there.

    Raises SwapError where the model has no such site.
    """
    sites: list[Site] = []
    parents: list[nn.Module] = []
    for site, module in modules:
        sites.append(site)
        parents.append(put(model, site, module))
    settle(model, parents)
    for owner in dict.fromkeys(site.owner for site in sites if site.call is not None):
        _redirect_calls(model.get_submodule(owner), [site for site in sites if site.owner == owner])


def _redirect_calls(owner: nn.Module, sites: Iterable[Site]) -> None:
    """Makes the owner's code call the modules that stand for its calls: in its graph, or in its source."""
    inside = [(site.call, site.layer.removeprefix(f"{site.owner}."), site.replaced) for site in sites]
    nodes = {call: name for call, name, _ in inside if call is not None and ":" not in call}
    places = {call: (name, replaced) for call, name, replaced in inside if call is not None and ":" in call}
    if nodes:
        call_modules(owner, nodes)
    if places:
        rewrite(owner, places)


def put(model: nn.Module, site: Site, module: nn.Module) -> nn.Module:
    """Registers `module` under the site's layer name; the module that holds it is returned."""
    parent_name, _, name = site.layer.rpartition(".")
    try:
        parent = model.get_submodule(parent_name)
    except AttributeError as error:
        raise SwapError(f"expected a module `{parent_name}` in `{type(model).__name__}`: {error}") from error
    module.train(model.training)
    if site.call is None and name in held(parent):
        hold(parent, name, module)
    elif site.call is None and name not in parent._modules:
        raise SwapError(f"expected an activation `{site.layer}` in `{type(model).__name__}`, found none")
    else:
        parent.add_module(name, module)
    return parent


def site_of(activation: Activation) -> Site:
    """Where the activation belongs."""
    assert activation.site is not None, "only activations with a site are installed"
    return activation.site
