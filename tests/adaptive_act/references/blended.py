"""Sums of other activations, and wrappers of one."""

import math
from collections.abc import Callable

from tests.adaptive_act.references.scalar import Reference, Values, elu, pelu, relu, sigmoid, softplus


def _blend(x: float, v: Values) -> float:
    members = {
        "w_tanh": math.tanh(x),
        "w_elu": elu(x),
        "w_relu": relu(x),
        "w_identity": x,
        "w_silu": x * sigmoid(x),
    }
    return math.fsum(v[name] * member for name, member in members.items())


def _affine_tanh(x: float, v: Values) -> float:
    return v["alpha"] * math.tanh(v["beta"] * x + v["gamma"]) + v["delta"]


def _dyn_activation(base: Callable[[float], float]) -> Callable[[float, Values], float]:
    return lambda x, v: base(x) * (v["alpha"] - v["beta"]) + v["beta"] * x


def _neaaf(base: Callable[[float, Values], float], side: str) -> Callable[[float, Values], float]:
    def value(x: float, v: Values) -> float:
        cubic = abs(x) ** 3 if side == "both" else (x**3 if x > 0 else 0.0)
        return v["alpha"] * base(x, v) + 0.1 * v["beta"] * cubic

    return value


_NEAAF_BASES: dict[str, Callable[[float, Values], float]] = {
    "ReLU": lambda x, v: relu(x),
    "PReLU": lambda x, v: x if x > 0 else v["base.a"] * x,
    "ELU": lambda x, v: elu(x),
    "PELU": lambda x, v: pelu(x, v["base.a"], v["base.b"]),
    "SiLU": lambda x, v: x * sigmoid(x),
}


BLENDED = (
    Reference("ABU", _blend),
    Reference("Affine", _affine_tanh, {"base": "Tanh"}),
    Reference("DynActivation", _dyn_activation(lambda x: x * math.tanh(softplus(x)))),
    Reference("DynActivation", _dyn_activation(relu), {"base": "ReLU"}),
    *(
        Reference("NEAAF", _neaaf(base, side), {"base": name, "side": side})
        for name, base in _NEAAF_BASES.items()
        for side in ("positive", "both")
    ),
)
