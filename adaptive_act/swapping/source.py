"""The activation calls in the source of a module's forward, read without running it."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from adaptive_act.plain import FUNCTIONS, METHODS, Plain


@dataclass(frozen=True, slots=True)
class ActivationCall:
    """One call of a plain activation in the source of a module's forward.

    `place` is "method:number", the number counting all calls in that method's source, where the method is
    the module's own; None where the call stands in another function.
    """

    node: ast.Call
    plain: Plain
    function: FunctionType
    place: str | None
    is_method: bool
    """Whether it is written as a tensor's method, `x.relu()`."""

    @property
    def written(self) -> str:
        """The called function, as it is written."""
        return ast.unparse(self.node.func)

    @property
    def has_one_argument(self) -> bool:
        """Whether the activated value is the only argument."""
        return len(self.node.args) + self.is_method == 1 and not self.node.keywords

    @property
    def held_name(self) -> str | None:
        """The attribute of `self` through which the function is called, if it is."""
        func = self.node.func
        return func.attr if isinstance(func, ast.Attribute) and _is_of_self(func) else None


def find_activation_calls(owner: nn.Module) -> list[ActivationCall] | None:
    """The calls of plain activations in `owner`'s forward and in the methods that it calls.

    Functions of the same library that it calls are read as well. None where the source is not available.
    """
    if parse_function(next(_find_methods(owner, "forward"), None)) is None:
        return None
    activation_calls: list[ActivationCall] = []
    seen: set[FunctionType] = set()
    waiting = list(_find_methods(owner, "forward"))
    while waiting:
        function = waiting.pop(0)
        tree = None if function in seen else parse_function(function)
        seen.add(function)
        for number, node in enumerate(list_calls(tree) if tree is not None else []):
            is_method, plain = _recognise_call(node, function, owner)
            if plain is not None:
                activation_calls.append(
                    ActivationCall(node, plain, function, _name_place(function, number, owner), is_method)
                )
            waiting += _called_functions(node, function, owner)
    return activation_calls


def list_calls(tree: ast.AST) -> list[ast.Call]:
    """Every call in a piece of source, always in the same order."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def parse_function(function: FunctionType | None) -> ast.FunctionDef | None:
    """The function's definition; None where its source is not available."""
    if function is None:
        return None
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    return definition if isinstance(definition, ast.FunctionDef) else None


def find_own_method(owner: nn.Module, name: str) -> FunctionType | None:
    """The function that `owner.<name>()` runs, where it is a plain method that is not torch's."""
    method = inspect.getattr_static(type(owner), name, None)
    ours = isinstance(method, FunctionType) and not method.__module__.startswith("torch.")
    return method if isinstance(method, FunctionType) and ours else None


def _name_place(function: FunctionType, number: int, owner: nn.Module) -> str | None:
    method = find_own_method(owner, function.__name__)
    own = method is not None and inspect.unwrap(method) is function
    return f"{function.__name__}:{number}" if own else None


def _find_methods(owner: nn.Module, name: str) -> Iterator[FunctionType]:
    """The methods of this name in those classes of `owner` that are not torch's, the nearest first."""
    for kind in type(owner).__mro__:
        method = vars(kind).get(name)
        if isinstance(method, staticmethod | classmethod):
            method = method.__func__
        method = inspect.unwrap(method) if callable(method) else method
        if isinstance(method, FunctionType) and not method.__module__.startswith("torch."):
            yield method


def _recognise_call(node: ast.Call, function: FunctionType, owner: nn.Module) -> tuple[bool, Plain | None]:
    """Whether a call is a tensor's method, and the plain activation that it applies, or None."""
    target = _resolve_name(node.func, function, owner)
    if _uses_missing_part(node.func, owner):
        return False, None
    if target is None and isinstance(node.func, ast.Attribute) and not _is_of_self(node.func):
        return True, METHODS.get(node.func.attr)
    known = callable(target) and not isinstance(target, nn.Module)
    return False, FUNCTIONS.get(target) if known else None


def _called_functions(node: ast.Call, function: FunctionType, owner: nn.Module) -> list[FunctionType]:
    """The functions to read as well: own methods, and functions of the same library."""
    if isinstance(node.func, ast.Attribute) and _is_of_self(node.func) and node.func.attr not in vars(owner):
        return list(_find_methods(owner, node.func.attr))[:1]
    if isinstance(node.func, ast.Attribute) and _is_of_super(node.func):
        return list(_find_methods(owner, node.func.attr))[1:]
    target = _resolve_name(node.func, function, owner)
    if not isinstance(target, FunctionType) or _library_name(target) == "torch":
        return []
    is_held = isinstance(node.func, ast.Attribute) and _is_of_self(node.func)
    return [target] if is_held or _library_name(target) == _library_name(function) else []


def _resolve_name(node: ast.expr, function: FunctionType, owner: nn.Module) -> Any:
    """The value of a dotted name: a global of the function, a module's member or an attribute of self."""
    if isinstance(node, ast.Name):
        return inspect.getclosurevars(function).nonlocals.get(node.id, function.__globals__.get(node.id))
    if not isinstance(node, ast.Attribute):
        return None
    if _is_of_self(node):
        value = vars(owner).get(node.attr, inspect.getattr_static(type(owner), node.attr, None))
        return value.__func__ if isinstance(value, staticmethod) else value
    base = _resolve_name(node.value, function, owner)
    return vars(base).get(node.attr) if isinstance(base, ModuleType) else None


def _uses_missing_part(node: ast.expr, owner: nn.Module) -> bool:
    """Whether the call uses a part that this module lacks, such as `self.gate` that is None."""
    parts = {**vars(owner), **owner._modules}
    called = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
    through_self = [func.attr for func in called if isinstance(func, ast.Attribute) and _is_of_self(func)]
    return any(name in parts and parts[name] is None for name in through_self)


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _is_of_super(node: ast.Attribute) -> bool:
    called = node.value.func if isinstance(node.value, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == "super"


def _library_name(function: FunctionType) -> str:
    return function.__module__.partition(".")[0]
