"""Each activation as a scalar formula in float64, written from its paper and never from our code."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Values = Mapping[str, float]


@dataclass(frozen=True)
class Reference:
    """A variant of an activation: the options that build it and the scalar it should compute."""

    name: str
    value: Callable[[float, Values], float]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "-".join([self.name, *map(str, self.options.values())])


def _relu(x: float) -> float:
    return x if x > 0 else 0.0


def _elu(x: float) -> float:
    return x if x > 0 else math.exp(x) - 1 if x < -1e-5 else math.expm1(x)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _gelu_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _pelu(x: float, a: float, b: float) -> float:
    return a / b * x if x >= 0 else a * math.expm1(x / b)


def _mpelu(x: float, alpha: float, beta: float) -> float:
    return x if x > 0 else alpha * math.expm1(beta * x)


def _blend(x: float, v: Values) -> float:
    members = {
        "w_tanh": math.tanh(x),
        "w_elu": _elu(x),
        "w_relu": _relu(x),
        "w_identity": x,
        "w_silu": x * _sigmoid(x),
    }
    return math.fsum(v[name] * member for name, member in members.items())


def _affine_tanh(x: float, v: Values) -> float:
    return v["alpha"] * math.tanh(v["beta"] * x + v["gamma"]) + v["delta"]


def _neaaf(base: Callable[[float, Values], float], side: str) -> Callable[[float, Values], float]:
    def value(x: float, v: Values) -> float:
        cubic = abs(x) ** 3 if side == "both" else (x**3 if x > 0 else 0.0)
        return v["alpha"] * base(x, v) + 0.1 * v["beta"] * cubic

    return value


_NEAAF_BASES: dict[str, Callable[[float, Values], float]] = {
    "ReLU": lambda x, v: _relu(x),
    "PReLU": lambda x, v: x if x > 0 else v["base.a"] * x,
    "ELU": lambda x, v: _elu(x),
    "PELU": lambda x, v: _pelu(x, v["base.a"], v["base.b"]),
    "SiLU": lambda x, v: x * _sigmoid(x),
}

REFERENCES = (
    Reference("PReLU", lambda x, v: x if x > 0 else v["a"] * x),
    Reference("PELU", lambda x, v: _pelu(x, v["a"], v["b"])),
    Reference("MPELU", lambda x, v: _mpelu(x, v["alpha"], v["beta"])),
    Reference("Swish", lambda x, v: x * _sigmoid(v["beta"] * x)),
    Reference("ScaledGELU", lambda x, v: x * _normal_cdf(v["k"] * x)),
    Reference("ScaledGELU", lambda x, v: _gelu_tanh(v["k"] * x) / v["k"], {"approximate": "tanh"}),
    Reference("Snake", lambda x, v: x + math.sin(v["a"] * x) ** 2 / v["a"]),
    Reference("ABU", _blend),
    Reference("Affine", _affine_tanh, {"base": "Tanh"}),
    *(
        Reference("NEAAF", _neaaf(base, side), {"base": name, "side": side})
        for name, base in _NEAAF_BASES.items()
        for side in ("positive", "both")
    ),
)
