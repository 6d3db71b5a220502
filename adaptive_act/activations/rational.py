"""PAU, the Padé activation unit."""

from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.types import Device

from adaptive_act.activation import Activation
from adaptive_act.fused import rational
from adaptive_act.learned import Learned, StartValue
from adaptive_act.plain import Description, build, describe

REACH = 5.0
"""The coefficients that PAU starts with are fitted on [-REACH, REACH]."""
LARGEST = 1e6
"""Beyond ±LARGEST the value stays what it is there: x⁵ would overflow float32 at 5e7."""
_NUMERATOR, _DENOMINATOR = ("a0", "a1", "a2", "a3", "a4", "a5"), ("b1", "b2", "b3", "b4")
_POINTS, _STEPS = 401, 40
Array = NDArray[np.float64]


class PAU(Activation):
    """Σ aₖxᵏ / (1 + |Σ bₖxᵏ|), k to 5 above and from 1 to 4 below: a rational function, free in shape.

    aₖ are the coefficients of the numerator, bₖ those of the denominator, which is never below 1. None has
    bounds. They start at the least-squares fit to `base` on [-5, 5]; base is any plain torch activation, by
    default LeakyReLU. That start is approximate: within 0.06 of LeakyReLU and ReLU on [-5, 5], 1e-4 of SiLU
    and Tanh, 4e-3 of GELU, and further off outside (1 at ±10 for LeakyReLU). It equals no plain activation:
    a swap to it needs `preserve=False` and changes what the model computes.

    Half precision is computed in float32. Beyond ±1e6 the value is constant.

    Source: Molina et al. 2019, https://arxiv.org/abs/1907.06732 (the safe form); the starts are our own fits
    """

    learned = {
        "a0": Learned(0.055952),
        "a1": Learned(0.505),
        "a2": Learned(0.99043),
        "a3": Learned(0.720954),
        "a4": Learned(0.200114),
        "a5": Learned(0.019594),
        "b1": Learned(0.0),
        "b2": Learned(1.42763),
        "b3": Learned(0.0),
        "b4": Learned(0.0388),
    }
    in_float32 = True
    onnx_ops = (
        *("Clip", *("Mul", "Add") * len(_NUMERATOR[1:])),
        *(*("Mul", "Add") * len(_DENOMINATOR[1:]), "Mul", "Abs", "Add", "Div"),
    )

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        base: str | Description | type[nn.Module] | nn.Module = "LeakyReLU",
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        self.base = describe(build(base))
        super().__init__(
            channels, channel_axis, device=device, dtype=dtype, **_find_start(self.base) | values
        )

    def formula(self, x: Tensor, **coefficients: Tensor) -> Tensor:
        a0, a1, a2, a3, a4, a5, b1, b2, b3, b4 = coefficients.values()
        return rational(x, [a0, a1, a2, a3, a4, a5], [b1, b2, b3, b4], LARGEST)

    def options(self) -> dict[str, Any]:
        return {"base": self.base}


@cache
def _fit(base: str, arguments: tuple[tuple[str, Any], ...]) -> dict[str, float]:
    """The coefficients at which PAU is nearest to a plain activation on [-REACH, REACH], by least squares.

    Levenberg and Marquardt's method in u = x / REACH, whose powers are all of one size, from an even
    denominator: from there it finds about the same error for each plain activation, whatever its size.
    """
    u = np.linspace(-1, 1, _POINTS)
    target = build({"name": base, **dict(arguments)})(torch.from_numpy(REACH * u)).numpy()
    powers, denominator = u[:, None] ** np.arange(6), np.array([0.0, 5.0, 0.0, 5.0])
    numerator = np.linalg.lstsq(powers / (1 + powers[:, 1:5] @ denominator)[:, None], target)[0]
    coefficients, damping = np.concatenate([numerator, denominator]), 1e-2
    value, slopes = _evaluate_rational(coefficients, powers)
    for _ in range(_STEPS):
        damped = np.concatenate([slopes, np.sqrt(damping) * np.eye(coefficients.size)])
        missing = np.concatenate([target - value, np.zeros(coefficients.size)])
        candidate = coefficients + np.linalg.lstsq(damped, missing)[0]
        candidate_value, candidate_slopes = _evaluate_rational(candidate, powers)
        is_nearer = np.square(target - candidate_value).sum() < np.square(target - value).sum()
        if is_nearer:
            coefficients, value, slopes = candidate, candidate_value, candidate_slopes
        damping *= 0.2 if is_nearer else 5
    scales = REACH ** np.array([0, 1, 2, 3, 4, 5, 1, 2, 3, 4])
    return dict(zip((*_NUMERATOR, *_DENOMINATOR), (coefficients / scales).tolist(), strict=True))


def _evaluate_rational(coefficients: Array, powers: Array) -> tuple[Array, Array]:
    """The rational where x has these powers [n, 6], and its derivative by each coefficient: [n], [n, 10]."""
    inside = powers[:, 1:5] @ coefficients[6:]
    divided = powers / (1 + np.abs(inside))[:, None]
    value = divided @ coefficients[:6]
    return value, np.concatenate([divided, -(value * np.sign(inside))[:, None] * divided[:, 1:5]], axis=1)


def _find_start(base: Description) -> dict[str, StartValue]:
    """The fitted coefficients for a plain activation; `learned` states those for the default one."""
    arguments = {name: value for name, value in base.items() if name != "name"}
    return dict(_fit(base["name"], tuple(arguments.items())))
