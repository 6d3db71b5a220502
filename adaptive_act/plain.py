"""The plain torch activations: the arguments that define each, and the ways in which models call it."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Description = Mapping[str, Any]
_LONGEST_REPR = 1000
_TEXTS = ("approximate",)
"""The arguments that are no numbers."""


class QuickGELU(nn.Module):
    """x · sigmoid(1.702x): the fast approximation of GELU that CLIP and its kin use, which torch lacks."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape and dtype as x."""
        return x * torch.sigmoid(1.702 * x)


@dataclass(frozen=True, slots=True)
class Plain:
    """One plain activation: its module, the arguments that define it, and its other spellings."""

    module: type[nn.Module]
    arguments: tuple[str, ...] = ()
    functions: tuple[Callable[..., Any], ...] = ()
    methods: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The module's class name, by which records and messages call it."""
        return self.module.__name__


_TABLE = (
    Plain(nn.ReLU, (), (F.relu, F.relu_, torch.relu, torch.relu_), ("relu", "relu_")),
    Plain(nn.LeakyReLU, ("negative_slope",), (F.leaky_relu, F.leaky_relu_)),
    Plain(nn.ReLU6, (), (F.relu6,)),
    Plain(nn.ELU, ("alpha",), (F.elu, F.elu_)),
    Plain(nn.CELU, ("alpha",), (F.celu, F.celu_, torch.celu, torch.celu_)),
    Plain(nn.SELU, (), (F.selu, F.selu_, torch.selu, torch.selu_)),
    Plain(nn.SiLU, (), (F.silu,)),
    Plain(nn.GELU, ("approximate",), (F.gelu,)),
    Plain(QuickGELU),
    Plain(nn.Mish, (), (F.mish,)),
    Plain(nn.Softplus, ("beta", "threshold"), (F.softplus,)),
    Plain(nn.Softsign, (), (F.softsign,)),
    Plain(nn.Softshrink, ("lambd",), (F.softshrink,)),
    Plain(nn.Hardswish, (), (F.hardswish,)),
    Plain(nn.Hardsigmoid, (), (F.hardsigmoid,)),
    Plain(nn.Hardtanh, ("min_val", "max_val"), (F.hardtanh, F.hardtanh_)),
    Plain(nn.LogSigmoid, (), (F.logsigmoid,)),
    Plain(nn.Sigmoid, (), (F.sigmoid, torch.sigmoid, torch.sigmoid_), ("sigmoid", "sigmoid_")),
    Plain(nn.Tanh, (), (F.tanh, torch.tanh, torch.tanh_), ("tanh", "tanh_")),
)

PLAIN: Mapping[str, Plain] = {plain.name: plain for plain in _TABLE}
FUNCTIONS: Mapping[Callable[..., Any], Plain] = {f: plain for plain in _TABLE for f in plain.functions}
METHODS: Mapping[str, Plain] = {method: plain for plain in _TABLE for method in plain.methods}


def describe(module: nn.Module) -> Description:
    """The JSON-able description from which `build` makes an equal module.

    Raises ValueError where `module` is not one of PLAIN.
    """
    plain = PLAIN.get(type(module).__name__)
    if plain is None or type(module) is not plain.module:
        raise ValueError(_expected(module))
    return {"name": plain.name} | {argument: getattr(module, argument) for argument in plain.arguments}


def build(description: str | Description | type[nn.Module] | nn.Module) -> nn.Module:
    """A new module of the plain activation that is named, described, or given as class or example.

    Raises ValueError where it is not one of PLAIN or has other arguments than it.
    """
    if isinstance(description, nn.Module):
        description = describe(description)
    elif isinstance(description, type):
        description = {"name": description.__name__}
    elif isinstance(description, str):
        description = {"name": description}
    arguments = dict(description)
    name = arguments.pop("name", None)
    plain = PLAIN.get(name) if isinstance(name, str) else None
    if plain is None or not set(arguments) <= set(plain.arguments):
        raise ValueError(_expected(description))
    if not all(isinstance(value, str if key in _TEXTS else Real) for key, value in arguments.items()):
        raise ValueError(_expected(description))
    try:
        return plain.module(**arguments)
    except AssertionError as error:  # such as Hardtanh's bounds the wrong way round
        raise ValueError(f"{_expected(description)}: {error}") from error


def from_repr(text: str) -> nn.Module | None:
    """The plain activation whose `repr` this is, working out of place; None for anything else."""
    if len(text) > _LONGEST_REPR:  # it may be a file's
        return None
    try:
        call = ast.parse(text, mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            return None
        if text == repr(nn.Identity()):
            return nn.Identity()
        names = PLAIN[call.func.id].arguments
        arguments = dict(zip(names, map(ast.literal_eval, call.args), strict=False))
        arguments |= {
            str(word.arg): ast.literal_eval(word.value) for word in call.keywords if word.arg != "inplace"
        }
        return build({"name": call.func.id} | arguments)
    except (SyntaxError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _expected(got: object) -> str:
    return f"expected a plain torch activation ({', '.join(PLAIN)}), got `{got}`"
