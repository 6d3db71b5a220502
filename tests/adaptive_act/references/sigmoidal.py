"""Built on tanh, erf or softsign."""

import math

from tests.adaptive_act.references.scalar import Reference

SIGMOIDAL = (
    Reference("ErfReLU", lambda x, v: x if x >= 0 else v["alpha"] * math.erf(x)),
    Reference("LAAF", lambda x, v: math.tanh(v["a"] * x)),
    Reference("LAAF", lambda x, v: math.tanh(10 * v["a"] * x), {"n": 10.0}),
    Reference("ScaledSoftSign", lambda x, v: v["alpha"] * x / (v["beta"] + abs(x))),
    Reference("Stan", lambda x, v: math.tanh(x) + v["beta"] * x * math.tanh(x)),
    Reference("TanhLU", lambda x, v: v["alpha"] * math.tanh(v["lambd"] * x) + v["beta"] * x),
)
