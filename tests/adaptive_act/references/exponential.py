"""ELU and what grew from it."""

import functools
import math

from tests.adaptive_act.references.scalar import Reference, Values, pelu


def _mpelu(x: float, alpha: float, beta: float) -> float:
    return x if x > 0 else alpha * math.expm1(beta * x)


def _pselu(x: float, v: Values) -> float:
    return v["gamma"] * (x if x >= 0 else v["alpha"] * math.expm1(x))


def _xielu(beta: float, x: float, v: Values) -> float:
    if x > 0:
        return v["alpha_p"] * x * x + beta * x
    return (beta + v["excess"]) * (math.expm1(x) - x) + beta * x


EXPONENTIAL = (
    Reference("MPELU", lambda x, v: _mpelu(x, v["alpha"], v["beta"])),
    Reference("PELU", lambda x, v: pelu(x, v["a"], v["b"])),
    Reference("PREU", lambda x, v: v["alpha"] * x * (1.0 if x >= 0 else math.exp(v["beta"] * x))),
    Reference("PSELU", _pselu),
    Reference("PTELU", lambda x, v: x if x >= 0 else v["alpha"] * math.tanh(v["beta"] * x)),
    Reference("XIELU", functools.partial(_xielu, 0.5)),
    Reference("XIELU", functools.partial(_xielu, 0.25), {"beta": 0.25}),
)
