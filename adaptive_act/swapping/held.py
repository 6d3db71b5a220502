"""Activation functions that a module holds as an attribute, such as `self.activation = F.relu`."""

import functools
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType

from torch import nn

from adaptive_act.plain import FUNCTIONS


def held(owner: nn.Module) -> dict[str, nn.Module]:
    """The plain activation of each function that `owner` itself holds, by the attribute's name."""
    found = {name: _plain(value) for name, value in vars(owner).items()}
    return {name: plain for name, plain in found.items() if plain is not None}


def hold(owner: nn.Module, name: str, module: nn.Module) -> None:
    """Puts `module` in the place of the function that `owner` holds as `name`."""
    del owner.__dict__[name]
    owner.add_module(name, module)


def _plain(value: object) -> nn.Module | None:
    given: Mapping[str, object] = {}
    function = value
    if isinstance(value, functools.partial) and not value.args:
        function, given = value.func, value.keywords
    plain = FUNCTIONS.get(function) if isinstance(function, FunctionType | BuiltinFunctionType) else None
    if plain is None or not set(given) <= {*plain.arguments, "inplace"}:
        return None
    return plain.module(**{name: given[name] for name in plain.arguments if name in given})
