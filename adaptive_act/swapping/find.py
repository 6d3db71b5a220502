"""Where a model applies plain activations: as modules, as calls in a forward, as functions that it holds."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from adaptact.text import first_line
from adaptive_act.activation import Activation
from adaptive_act.plain import FUNCTIONS, METHODS, Plain
from adaptive_act.site import Site, Skipped
from adaptive_act.swapping.forwards import (
    UNTRACEABLE,
    TracedForward,
    activated_value,
    trace_forward,
    unshare_modules,
)
from adaptive_act.swapping.library_modules import find_held_functions, kernel_activations, script_activations
from adaptive_act.swapping.recognise import Kinds, Recogniser, is_defined_by_torch
from adaptive_act.swapping.rewrite import make_plain
from adaptive_act.swapping.source import find_activation_calls

_PLAIN_CALLS: dict[str, dict[Any, Plain]] = {"call_function": dict(FUNCTIONS), "call_method": dict(METHODS)}
_OVERWRITES = "it works in place on a value that is used again later, which a swap would change"
# The functions and methods of tensors whose result shares memory with their first argument.
_VIEWS = frozenset(
    (
        *("chunk", "contiguous", "detach", "expand", "flatten", "getattr", "getitem", "movedim", "narrow"),
        *("permute", "reshape", "select", "split", "squeeze", "swapaxes", "t", "transpose", "unbind"),
        *("unflatten", "unsqueeze", "view", "view_as"),
    )
)


@dataclass(frozen=True, slots=True)
class FoundSite:
    """A site, the plain activation there, and the kind that was searched for."""

    site: Site
    plain: nn.Module
    kind: type[nn.Module]


def find_sites(model: nn.Module, kinds: Kinds) -> tuple[list[FoundSite], list[Skipped]]:
    """Every site of an activation of one of `kinds` in `model`, and what had to be left out.

    A module with several names, or with several calls in one forward, is a site for each of them. `model` is
    changed: its names no longer share one activation module.
    """
    recognise = Recogniser(kinds)
    sites: list[FoundSite] = []
    skipped: list[Skipped] = []
    for name, owner in list(_walk_modules(model, recognise)):
        search = _ModuleSearch(name, owner, recognise)
        if isinstance(owner, torch.jit.ScriptModule):
            skipped += search.find_scripted(owner)
            continue
        unshare_modules(owner)
        sites += search.find_modules()
        skipped += search.find_lookalikes()
        called, not_called = search.find_calls()
        sites += called
        skipped += not_called
    skipped_layers = {entry.layer for entry in skipped}
    return [found for found in sites if found.site.layer not in skipped_layers], skipped


def _walk_modules(
    module: nn.Module, recognise: Recogniser, name: str = "", seen: set[nn.Module] | None = None
) -> Iterator[tuple[str, nn.Module]]:
    """The modules outside activations, each once, by its first name."""
    seen = set() if seen is None else seen
    if module in seen or isinstance(module, Activation) or (name and recognise(module)):
        return
    seen.add(module)
    yield name, module
    if isinstance(module, torch.jit.ScriptModule):
        return
    for child_name, child in module._modules.items():
        if child is not None:
            yield from _walk_modules(child, recognise, _join_names(name, child_name), seen)


@dataclass(frozen=True, slots=True)
class _ModuleSearch:
    """The search in one module: its children and its forward."""

    name: str
    owner: nn.Module
    recognise: Recogniser

    def find_modules(self) -> Iterator[FoundSite]:
        for name, child in self.owner._modules.items():
            if child is None or isinstance(child, Activation):
                continue
            known = self.recognise(child)
            if known is not None:
                kind, plain = known
                replaced = repr(child if is_defined_by_torch(child) else plain)
                yield FoundSite(Site(_join_names(self.name, name), replaced), plain, kind)

    def find_lookalikes(self) -> Iterator[Skipped]:
        """Subclasses of an activation that compute something else."""
        for name, child in self.owner._modules.items():
            if child is None or is_defined_by_torch(child) or self.recognise(child):
                continue
            for kind in self.recognise.kinds:
                if isinstance(child, kind):
                    reason = (
                        f"`{type(child).__name__}` is a `{kind.__name__}` by its class, but not by its values"
                    )
                    yield Skipped(_join_names(self.name, name), repr(child), reason)

    def find_scripted(self, owner: torch.jit.ScriptModule) -> Iterator[Skipped]:
        for kind in script_activations(owner, self.recognise.kinds):
            yield Skipped(self.name, kind.__name__, "TorchScript runs it, whose code cannot be changed")

    def find_calls(self) -> tuple[list[FoundSite], list[Skipped]]:
        """The calls in the forward that are sites, and those that cannot be."""
        if is_defined_by_torch(self.owner):
            return list(self._find_held()), list(self._find_in_kernel())
        if "forward" in vars(self.owner):
            return list(self._find_held()), list(self._find_out_of_reach())
        if type(self.owner).forward is nn.Module.forward:
            return [], []
        try:
            forward = trace_forward(self.owner)
        except UNTRACEABLE as error:
            return self._find_in_source(f"its forward could not be traced ({first_line(error)})")
        if forward.obstacle is None:
            return self._find_in_graph(forward)
        sites, skipped = self._find_in_source(forward.obstacle)
        own = {entry.site.layer for entry in self.find_modules()}
        return sites, skipped + [entry for entry in self._find_in_graph(forward)[1] if entry.layer in own]

    def _find_held(self) -> Iterator[FoundSite]:
        for name, plain in find_held_functions(self.owner).items():
            if type(plain) in self.recognise.kinds:
                yield FoundSite(Site(_join_names(self.name, name), repr(plain)), plain, type(plain))

    def _find_in_kernel(self) -> Iterator[Skipped]:
        reason = f"it is part of torch's own kernel of `torch.nn.{type(self.owner).__name__}`"
        for kind in kernel_activations(self.owner):
            if kind in self.recognise.kinds:
                yield Skipped(self.name, kind.__name__, reason)

    def _find_out_of_reach(self) -> Iterator[Skipped]:
        """The calls, where there may be any, of a module on which a `forward` of its own was put."""
        calls = find_activation_calls(self.owner)
        if calls is None or any(call.plain.module in self.recognise.kinds for call in calls):
            reason = "its `forward` is its own attribute, before which none of its class has an effect"
            yield Skipped(self.name, "activation calls in it, if any,", reason)

    def _find_in_source(self, obstacle: str) -> tuple[list[FoundSite], list[Skipped]]:
        """The calls of a forward that has no graph: functions that it holds, and places in its source."""
        calls = find_activation_calls(self.owner)
        if calls is None:
            return list(self._find_held()), [Skipped(self.name, "activation calls in it, if any,", obstacle)]
        wanted = [call for call in calls if call.plain.module in self.recognise.kinds]
        with_more = {call.held_name for call in wanted if not call.has_one_argument}
        sites = [found for found in self._find_held() if found.site.layer.rpartition(".")[2] not in with_more]
        skipped: dict[str, Skipped] = {}
        names = {found.site.layer.rpartition(".")[2] for found in sites}
        for call in (call for call in wanted if call.held_name not in names):
            plain = make_plain(call, self.owner)
            if isinstance(plain, str):
                reason = f"{obstacle}, and in its source {plain}"
                skipped[call.written] = Skipped(self.name, f"`{call.written}`", reason)
            else:
                name = _choose_call_name(self.owner, call.written.rpartition(".")[2], names)
                names.add(name)
                site = Site(_join_names(self.name, name), repr(plain), self.name, call.place)
                sites.append(FoundSite(site, plain, type(plain)))
        return sites, list(skipped.values())

    def _find_in_graph(self, forward: TracedForward) -> tuple[list[FoundSite], list[Skipped]]:
        sites: list[FoundSite] = []
        skipped: list[Skipped] = []
        called: set[Any] = set()
        nodes = list(forward.graph.nodes)
        for position, node in enumerate(nodes):
            activation = self._recognise_node(node)
            if activation is None:
                continue
            registered = node.op == "call_module" and node.target not in called  # a module site already
            called.add(node.target)
            layer = _join_names(
                self.name, str(node.target) if registered else _choose_node_name(self.owner, node.name)
            )
            if isinstance(activation, str):
                skipped.append(Skipped(layer, node.name, activation))
            elif _overwrites_used_value(node, self.owner, nodes[position + 1 :]):
                skipped.append(Skipped(layer, repr(activation[1]), _OVERWRITES))
            elif not registered:
                kind, plain = activation
                sites.append(FoundSite(Site(layer, repr(plain), self.name, node.name), plain, kind))
        return sites, skipped

    def _recognise_node(self, node: fx.Node) -> tuple[type[nn.Module], nn.Module] | str | None:
        """The activation that the node applies, or why it is not known, or None where there is none."""
        if node.op == "call_module":
            module = self.owner.get_submodule(str(node.target))
            return None if isinstance(module, Activation) else self.recognise(module)
        plain = _PLAIN_CALLS[node.op].get(node.target) if node.op in _PLAIN_CALLS else None
        if plain is None or plain.module not in self.recognise.kinds:
            return None
        positional = dict(zip((*plain.arguments, "inplace"), node.args[1:], strict=False))
        arguments = {k: v for k, v in (positional | dict(node.kwargs)).items() if k in plain.arguments}
        if any(isinstance(value, fx.Node) for value in arguments.values()):
            return "its arguments are computed while the model runs"
        return plain.module, plain.module(**arguments)


def _overwrites_used_value(node: fx.Node, owner: nn.Module, later: list[fx.Node]) -> bool:
    """Whether the call works in place on a value that the forward uses again, or on a view of one."""
    changed = _follow_views(activated_value(node)) if _works_in_place(node, owner) else ()
    return any(user in later for value in changed for user in value.users)


def _follow_views(value: fx.Node) -> Iterator[fx.Node]:
    """The value, and those whose memory it shares, back to the one that was computed."""
    yield value
    while value.op in _PLAIN_CALLS and _name_target(value) in _VIEWS and value.args:
        (value,) = value.all_input_nodes[:1]
        yield value


def _name_target(node: fx.Node) -> str:
    return getattr(node.target, "__name__", str(node.target))


def _works_in_place(node: fx.Node, owner: nn.Module) -> bool:
    positional = len(node.args) > 1 and node.args[-1] is True
    module = owner.get_submodule(str(node.target)) if node.op == "call_module" else None
    return (
        _name_target(node).endswith("_")
        or bool(node.kwargs.get("inplace"))
        or positional
        or bool(getattr(module, "inplace", False))
    )


def _choose_node_name(owner: nn.Module, wanted: str) -> str:
    while hasattr(owner, wanted):
        wanted += "_call"
    return wanted


def _choose_call_name(owner: nn.Module, wanted: str, taken: Collection[str]) -> str:
    names = (wanted if number == 0 else f"{wanted}_{number}" for number in itertools.count())
    return next(name for name in names if not hasattr(owner, name) and name not in taken)


def _join_names(parent: str, child: str) -> str:
    return f"{parent}.{child}" if parent else child
