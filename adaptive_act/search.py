"""Where a model applies plain activations: as modules, and as calls in a module's own forward."""

import copy
from collections.abc import Collection, Iterator
from typing import Any

from torch import fx, nn

from adaptive_act.activation import Activation
from adaptive_act.forwards import UNTRACEABLE, activated, trace
from adaptive_act.plain import FUNCTIONS, METHODS, Plain
from adaptive_act.site import Site, Skipped

Kinds = Collection[type[nn.Module]]

_PLAIN_CALLS: dict[str, dict[Any, Plain]] = {"call_function": dict(FUNCTIONS), "call_method": dict(METHODS)}

Found = tuple[Site, nn.Module]
"""A site, and the plain activation that stands there."""


def find(model: nn.Module, kinds: Kinds) -> tuple[list[Found], list[Skipped]]:
    """Every site in `model` where an activation of one of `kinds` stands, and what had to be left out.

    A module that several names or several calls in one forward use is a site for each of them; `model` is
    changed in that its names no longer share one activation module.
    """
    _separate(model, kinds)
    found: list[Found] = list(_module_sites(model, kinds))
    skipped: list[Skipped] = []
    for name, owner in _walk(model):
        if _is_torchs(owner):
            skipped += _held_functions(name, owner, kinds)
        elif type(owner).forward is not nn.Module.forward:
            calls, left_out = _calls(name, owner, kinds)
            found += calls
            skipped += left_out
    left = {entry.layer for entry in skipped}
    return [(site, plain) for site, plain in found if site.layer not in left], skipped


def _walk(module: nn.Module, name: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, nn.Module]]:
    """The modules outside adaptive activations, each once, by its first name."""
    seen = set() if seen is None else seen
    if id(module) in seen or isinstance(module, Activation):
        return
    seen.add(id(module))
    yield name, module
    for child_name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, _join(name, child_name), seen)


def _separate(model: nn.Module, kinds: Kinds) -> None:
    """Gives each name an activation module of its own, so that a graph can tell them apart."""
    seen: set[int] = set()
    for _, parent in list(_walk(model)):
        for child_name, child in parent._modules.items():
            if type(child) in kinds and id(child) in seen:
                parent._modules[child_name] = copy.deepcopy(child)
            seen.add(id(child))


def _module_sites(model: nn.Module, kinds: Kinds) -> Iterator[Found]:
    for parent_name, parent in _walk(model):
        for child_name, child in parent._modules.items():
            if child is not None and type(child) in kinds:
                yield Site(_join(parent_name, child_name), repr(child)), child


def _is_torchs(owner: nn.Module) -> bool:
    return type(owner).__module__.startswith("torch.nn.")


def _held_functions(name: str, owner: nn.Module, kinds: Kinds) -> list[Skipped]:
    """Activation functions that one of torch's own modules holds; its forward is not rewritten."""
    held = [value for value in vars(owner).values() if callable(value) and not isinstance(value, nn.Module)]
    plains = [FUNCTIONS[function] for function in held if function in FUNCTIONS]
    reason = f"`torch.nn.{type(owner).__name__}` calls it as a function inside torch's own code"
    return [Skipped(name, plain.name, reason) for plain in plains if plain.module in kinds]


def _calls(name: str, owner: nn.Module, kinds: Kinds) -> tuple[list[Found], list[Skipped]]:
    """The calls in `owner`'s forward that are sites of their own, and those that cannot be."""
    try:
        forward = trace(owner)
    except UNTRACEABLE as error:
        reason = f"its forward could not be traced ({_first_line(error)})"
        return [], [Skipped(name, "activation calls in it, if any,", reason)]
    found: list[Found] = []
    skipped: list[Skipped] = []
    called: set[Any] = set()
    nodes = list(forward.graph.nodes)
    for position, node in enumerate(nodes):
        plain = _plain_at(node, owner, kinds)
        if plain is None:
            continue
        registered = node.op == "call_module" and node.target not in called  # a module site already
        called.add(node.target)
        layer = _join(name, str(node.target) if registered else _free_name(owner, node.name))
        obstacle = _obstacle(node, plain, nodes[position + 1 :]) or (
            forward.obstacle if not registered else None
        )
        if obstacle:
            skipped.append(Skipped(layer, node.name if isinstance(plain, str) else repr(plain), obstacle))
        elif not registered and isinstance(plain, nn.Module):
            found.append((Site(layer, repr(plain), name, node.name), plain))
    return found, skipped


def _obstacle(node: fx.Node, plain: nn.Module | str, later: list[fx.Node]) -> str | None:
    """Why the call cannot be swapped without changing what the model computes."""
    if isinstance(plain, str):
        return plain
    if _works_in_place(node, plain) and any(user in later for user in activated(node).users):
        return "it works in place on a value that is used again later, which a swap would change"
    return None


def _plain_at(node: fx.Node, owner: nn.Module, kinds: Kinds) -> nn.Module | str | None:
    """The plain activation that the node applies, or why it cannot be told, or None where it is none."""
    if node.op == "call_module":
        module = owner.get_submodule(str(node.target))
        return module if type(module) in kinds else None
    plain = _PLAIN_CALLS[node.op].get(node.target) if node.op in _PLAIN_CALLS else None
    if plain is None or plain.module not in kinds:
        return None
    positional = dict(zip((*plain.arguments, "inplace"), node.args[1:], strict=False))
    arguments = {k: v for k, v in (positional | dict(node.kwargs)).items() if k in plain.arguments}
    if any(isinstance(value, fx.Node) for value in arguments.values()):
        return "its arguments are computed while the model runs"
    return plain.module(**arguments)


def _works_in_place(node: fx.Node, plain: nn.Module) -> bool:
    named = getattr(node.target, "__name__", str(node.target))
    positional = len(node.args) > 1 and node.args[-1] is True
    in_place_module = node.op == "call_module" and bool(getattr(plain, "inplace", False))
    return named.endswith("_") or bool(node.kwargs.get("inplace")) or positional or in_place_module


def _free_name(owner: nn.Module, wanted: str) -> str:
    while hasattr(owner, wanted):
        wanted += "_call"
    return wanted


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _join(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child
