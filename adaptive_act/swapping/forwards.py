"""A module's own forward as a graph: read to find activation calls, rewritten to call modules instead."""

import copy
import inspect
import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from adaptive_act.errors import SwapError
from adaptive_act.swapping.effects import UndoneEffects

# What the forward of any module may raise when it runs on symbols instead of tensors.
UNTRACEABLE = (
    fx.proxy.TraceError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class TracedForward:
    """The graph of one forward; `obstacle` is why it must not be rewritten, or None."""

    graph: fx.Graph
    obstacle: str | None


class _ForwardTracer(fx.Tracer):
    """Traces one module's forward; every module that it calls is a single step."""

    def __init__(self) -> None:
        super().__init__()
        self.modes: set[tuple[object, ...]] = set()
        """Under which of torch's modes the steps ran: the graph has none of them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        self.modes.add(_read_modes())
        return super().create_node(*args, **kwargs)


def trace_forward(owner: nn.Module) -> TracedForward:
    """The forward of `owner` as a graph, with each call of a submodule as one node.

    What else the forward does is undone, and an obstacle. Raises one of UNTRACEABLE where the forward cannot
    run on symbols.
    """
    training = owner.training
    tracers, graphs = (_ForwardTracer(), _ForwardTracer()), []
    with UndoneEffects(owner) as effects:
        try:
            for tracer, owner.training in zip(tracers, (True, False), strict=True):
                graphs.append(tracer.trace(owner))
        finally:
            owner.training = training
        effect = effects.describe()
    if effect is None and any(len(tracer.modes) > 1 for tracer in tracers):
        effect = "its forward turns gradients or autocast on or off"
    if effect is not None:
        return TracedForward(graphs[1], f"{effect}, which a graph leaves out")
    if str(graphs[0]) != str(graphs[1]):
        return TracedForward(graphs[1], "its forward depends on `self.training`, and one graph cannot")
    return TracedForward(graphs[1], _find_optional_argument(owner))


def _read_modes() -> tuple[object, ...]:
    autocast = [
        (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in ("cpu", "cuda")
    ]
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast


def unshare_modules(owner: nn.Module) -> None:
    """Gives each name in `owner` its own module where several share one without parameters or children.

    A graph names a module by its first name, so it could not distinguish them.
    """
    seen: set[nn.Module] = set()
    for name, child in owner._modules.items():
        if child in seen and not any(True for _ in child.children()) and not child.state_dict():
            owner._modules[name] = copy.deepcopy(child)
        elif child is not None:
            seen.add(child)


def _find_optional_argument(owner: nn.Module) -> str | None:
    """Why an optional argument is an obstacle: a graph keeps one side of `if mask is not None`; or None."""
    fixed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    for parameter in inspect.signature(owner.forward).parameters.values():
        if parameter.kind not in fixed or parameter.default is not inspect.Parameter.empty:
            return f"its forward has an optional argument, `{parameter.name}`, on which it may branch"
    return None


def call_modules(owner: nn.Module, modules: Mapping[str, str]) -> None:
    """Changes `owner` so that its forward calls a submodule at each of the named nodes.

    `modules` maps the node's name to the submodule's. The class, with all its methods and attributes, stays
    a base of the new one. Raises SwapError where the forward has no such node, or where a submodule's name is
    not an identifier: names become code here, and they may come from a file.
    """
    for module in modules.values():
        require_identifier(module)
    unshare_modules(owner)
    graph = trace_forward(owner).graph
    nodes = {node.name: node for node in graph.nodes}
    for call, module in modules.items():
        if call not in nodes:
            raise SwapError(
                f"expected a call named `{call}` in the forward of `{type(owner).__name__}`, found "
                f"{list(nodes)}; its code is not the code that was swapped"
            )
        _redirect_node(nodes[call], module)
    graph.lint()
    code = graph.python_code("self")
    namespace = dict(code.globals)
    exec(compile(code.src, f"<traced forward of {type(owner).__name__}>", "exec"), namespace)
    kind = type(owner)
    traced = {"forward": namespace["forward"], "__module__": kind.__module__, "__doc__": kind.__doc__}
    owner.__class__ = type(kind.__name__, (kind,), traced)


def require_identifier(name: str) -> None:
    """Raises SwapError where a name could be anything but that of an attribute in the code it goes into."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise SwapError(f"expected an identifier as the name of a swapped call, got {name[:80]!r}")


def _redirect_node(node: fx.Node, module: str) -> None:
    with node.graph.inserting_after(node):
        call = node.graph.call_module(module, (activated_value(node),))
    node.replace_all_uses_with(call)
    node.graph.erase_node(node)


def activated_value(node: fx.Node) -> fx.Node:
    """The value that an activation call acts on."""
    value = node.args[0] if node.args else node.kwargs["input"]
    assert isinstance(value, fx.Node)
    return value
