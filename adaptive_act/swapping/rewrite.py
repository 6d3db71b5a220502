"""A module's own methods, with activation calls in their source replaced by calls of submodules.

A forward that branches on its data, on `self.training` or on an optional argument has no graph of its own.
Its source can be changed in place: `F.relu(x)` becomes `self.relu(x)`, and everything else stays.
"""

import ast
import linecache
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from torch import nn

from adaptive_act.errors import SwapError
from adaptive_act.swapping.forwards import require_identifier
from adaptive_act.swapping.source import (
    ActivationCall,
    find_activation_calls,
    find_own_method,
    list_calls,
    parse_function,
)


def make_plain(call: ActivationCall, owner: nn.Module) -> nn.Module | str:
    """The plain activation that the call applies, or why it cannot be replaced."""
    obstacle = _find_obstacle(call)
    if obstacle is not None:
        return obstacle
    expressions = _named_arguments(call)
    arguments = {name: _read_constant(node, owner) for name, node in expressions.items()}
    if any(value is None for value in arguments.values()):
        return "its arguments are computed while the model runs"
    in_place = bool(arguments.pop("inplace", False)) or call.written.endswith("_")
    if in_place and isinstance(
        _activated_expression(call.node, call.is_method), ast.Name | ast.Attribute | ast.Subscript
    ):
        return "it works in place on a value that may be used again, which a swap would change"
    return call.plain.module(**arguments)


def rewrite_methods(owner: nn.Module, modules: Mapping[str, tuple[str, str]]) -> None:
    """Changes `owner` so that its methods call a submodule at each of the named places.

    `modules` maps the place to the submodule's name and the `repr` of what stands there. The class stays a
    base of the new one. Raises SwapError where no such call stands there, or where a submodule's name is not
    an identifier: names become code here, and they may come from a file.
    """
    there = {call.place: call for call in find_activation_calls(owner) or []}
    methods: dict[str, dict[int, tuple[str, bool]]] = {}
    for place, (module, replaced) in modules.items():
        require_identifier(module)
        plain = make_plain(there[place], owner) if place in there else None
        if not isinstance(plain, nn.Module) or repr(plain) != replaced:
            raise SwapError(
                f"expected `{replaced}` at `{place}` in the source of `{type(owner).__name__}`, found "
                f"{plain}; its code is not the code that was swapped"
            )
        method, _, number = place.partition(":")
        methods.setdefault(method, {})[int(number)] = module, there[place].is_method
    kind = type(owner)
    changed = {name: _rewrite_method(owner, name, numbers) for name, numbers in methods.items()}
    described = {"__module__": kind.__module__, "__doc__": kind.__doc__}
    owner.__class__ = type(kind.__name__, (kind,), described | changed)


def _rewrite_method(owner: nn.Module, name: str, modules: Mapping[int, tuple[str, bool]]) -> FunctionType:
    function = find_own_method(owner, name)
    tree = parse_function(function)
    assert function is not None, "the place names an own method"
    assert tree is not None, "the place was found in its source"
    every = list_calls(tree)
    for number, (module, is_method) in modules.items():
        node = every[number]
        node.args, node.keywords = [_activated_expression(node, is_method)], []
        node.func = ast.Attribute(ast.Name("self", ast.Load()), module, ast.Load())
    return _compile_method(tree, function)


def _compile_method(tree: ast.FunctionDef, function: FunctionType) -> FunctionType:
    """The changed definition as a function with the globals, closure and defaults of the given one."""
    _strip_signature(tree.args)
    tree.returns = None
    free = function.__code__.co_freevars
    around = ast.parse(f"def around({', '.join(free)}): pass")
    assert isinstance(around.body[0], ast.FunctionDef), "it was written as one"
    around.body[0].body = [tree, *ast.parse(f"return {tree.name}").body]
    text = ast.unparse(ast.fix_missing_locations(around))
    filename = f"<swapped {function.__module__}.{function.__qualname__} {id(tree)}>"
    # Where inspect, dynamo and tracebacks look for source that is in no file.
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {}
    exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    compiled: FunctionType = namespace["around"](*free)
    cells = dict(zip(free, function.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in compiled.__code__.co_freevars)
    final = FunctionType(compiled.__code__, function.__globals__, tree.name, function.__defaults__, closure)
    final.__kwdefaults__, final.__annotations__ = function.__kwdefaults__, function.__annotations__
    final.__qualname__, final.__module__ = function.__qualname__, function.__module__
    return final


def _strip_signature(arguments: ast.arguments) -> None:
    """Removes what is evaluated at the definition; the new function takes it from the old one."""
    nothing = ast.Constant(None)
    arguments.defaults = [nothing for _ in arguments.defaults]
    arguments.kw_defaults = [default and nothing for default in arguments.kw_defaults]
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for argument in [*every, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None


def _find_obstacle(call: ActivationCall) -> str | None:
    """Why the source around the call cannot be changed."""
    if call.place is None:
        return f"it stands in `{call.function.__qualname__}`, which is no method of the module's own"
    tree = parse_function(call.function)
    if tree is None or tree.decorator_list or [a.arg for a in tree.args.args][:1] != ["self"]:
        return f"`{call.function.__qualname__}` is decorated or takes no `self`"
    names = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    if any(name.startswith("__") and not name.endswith("__") for name in names):
        return f"`{call.function.__qualname__}` uses names that Python mangles"
    words = [word.arg for word in call.node.keywords]
    starred = any(isinstance(argument, ast.Starred) for argument in call.node.args) or None in words
    if starred or ("input" in words) == (call.is_method or bool(call.node.args)):
        return "its arguments are computed while the model runs"
    return None


def _activated_expression(node: ast.Call, is_method: bool) -> ast.expr:
    """The value that the call acts on."""
    if is_method and isinstance(node.func, ast.Attribute):
        return node.func.value
    return node.args[0] if node.args else next(word.value for word in node.keywords if word.arg == "input")


def _named_arguments(call: ActivationCall) -> dict[str, ast.expr]:
    """The arguments besides the activated value, by name."""
    positional = call.node.args[0 if call.is_method else 1 :]
    named = {str(word.arg): word.value for word in call.node.keywords if word.arg != "input"}
    return dict(zip((*call.plain.arguments, "inplace"), positional, strict=False)) | named


def _read_constant(node: ast.expr, owner: nn.Module) -> int | float | str | None:
    """The value of a literal, or of a number or text that `self` holds; None for everything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        value = vars(owner).get(node.attr)
    else:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            return None
    return value if isinstance(value, int | float | str) else None
