"""What a reference is, and the scalar functions that papers build on."""

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


def relu(x: float) -> float:
    return x if x > 0 else 0.0


def elu(x: float) -> float:
    return x if x > 0 else math.exp(x) - 1 if x < -1e-5 else math.expm1(x)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def softplus(x: float) -> float:
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))


def normal_cdf(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def pelu(x: float, a: float, b: float) -> float:
    return a / b * x if x >= 0 else a * math.expm1(x / b)


def polynomial(x: float, v: Values, name: str, first: int, last: int) -> float:
    """Σ vₖxᵏ over the values that are called `name` and k."""
    return math.fsum(v[f"{name}{k}"] * x**k for k in range(first, last + 1))
