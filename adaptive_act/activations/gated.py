"""x times a gate of x: Swish and its relatives."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.types import Device

from adaptive_act.activation import Activation
from adaptive_act.activations.smooth import SOFTPLUS_THRESHOLD
from adaptive_act.kernels import limit
from adaptive_act.learned import Learned, StartValue
from adaptive_act.plain import QuickGELU

# erf(exp(2)) is 1 in float64 too: a larger exponent changes nothing, and would overflow.
ERFACT_LARGEST_EXPONENT = 2.0


class Swish(Activation):
    """x · sigmoid(βx): ReLU with a soft corner that β sharpens.

    β = 0 is x / 2, β = 1 is SiLU, β → ∞ tends to ReLU; a negative β mirrors the curve. β starts at 1,
    without bounds.

    Source: Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941
    """

    learned = {"beta": Learned(1.0)}
    fixed_points = {nn.SiLU: {"beta": 1.0}, QuickGELU: {"beta": 1.702}}
    onnx_ops = ("Mul", "Sigmoid", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return x * torch.sigmoid(beta * x)


class ACONC(Activation):
    """(p₁ − p₂)x · sigmoid(β(p₁ − p₂)x) + p₂x: a smooth maximum of two learned lines, p₁x and p₂x.

    p₁ and p₂ are the slopes that the two sides tend to; β sets how sharply one passes into the other. As β
    tends to ∞ the curve tends to max(p₁x, p₂x); at 0 it is the mean of the lines; a negative β makes it a
    smooth minimum. All are unbounded and start at 1, 0, 1, where it equals SiLU. β = 1.702 is QuickGELU, and
    equal slopes of 1 are the identity.

    Source: Ma et al. 2021, https://arxiv.org/abs/2009.04759; there p₁ and p₂ start at random.
    """

    learned = {"p1": Learned(1.0), "p2": Learned(0.0), "beta": Learned(1.0)}
    fixed_points = {
        nn.SiLU: {"p1": 1.0, "p2": 0.0, "beta": 1.0},
        QuickGELU: {"p1": 1.0, "p2": 0.0, "beta": 1.702},
        nn.Identity: {"p1": 1.0, "p2": 1.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Sigmoid", "Mul", "Add", "Mul")

    def formula(self, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
        apart = p1 - p2
        rate = beta * apart
        return x * (apart * torch.sigmoid(rate * limit(x, rate)) + p2)


class AdaptiveHardswish(Activation):
    """x · min(max(ax + b, 0), 1): Hardswish whose ramp from off to on is learned.

    a is the steepness of the ramp and b its height at x = 0: with b in (0, 1) the ramp crosses zero. Both are
    unbounded and start at 1/6 and 1/2, where it equals Hardswish. If no input lies on the ramp, neither
    parameter gets a gradient.

    Source: after Howard et al. 2019, https://arxiv.org/abs/1905.02244, for Hardswish.
    """

    learned = {"a": Learned(1 / 6), "b": Learned(0.5)}
    fixed_points = {nn.Hardswish: {"a": 1 / 6, "b": 0.5}}
    onnx_ops = ("Mul", "Add", "Clip", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        # hardtanh clips in one pass forward and one backward, and unlike hardsigmoid is differentiable twice.
        return x * F.hardtanh(a * x + b, 0.0, 1.0)


class AHAF(Activation):
    """γx · sigmoid(βx): Swish with a learned height.

    γ is the slope that the right side tends to, without bounds. β > 0 sharpens the corner; as β tends to ∞
    the curve tends to ReLU scaled by γ. Both start at 1, where it equals SiLU. β = 1.702 is QuickGELU, and
    β = 1 with any γ is E-swish (Alcaide 2018). It is computed as γ/β · SiLU(βx), which is the same function
    in fewer steps.

    Source: after Bodyanskiy & Kostiuk 2022, https://doi.org/10.20535/SRIT.2308-8893.2022.1.07
    """

    learned = {"gamma": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {
        nn.SiLU: {"gamma": 1.0, "beta": 1.0},
        QuickGELU: {"gamma": 1.0, "beta": 1.702},
    }
    onnx_ops = ("Mul", "Sigmoid", "Mul", "Mul")

    def formula(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        return gamma / beta * F.silu(beta * x)


class APTx(Activation):
    """(α + tanh(βx)) · γx: x with a gate of tanh, whose floor, steepness and height are learned.

    α lifts the gate: the slope is γ(α − 1) far on the left and γ(α + 1) far on the right. β sets how quickly
    the curve passes from one to the other. All are unbounded and start at 1, 1, 1/2, where it is Swish with
    β = 2. With β = 1/2 it equals SiLU, with β = 0.851 QuickGELU, and at 1, 0, 1 the identity. It has the same
    curves as ACON-C, in other parameters.

    Source: Kumar 2022, https://arxiv.org/abs/2209.06119
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0), "gamma": Learned(0.5)}
    fixed_points = {
        nn.SiLU: {"alpha": 1.0, "beta": 0.5, "gamma": 0.5},
        QuickGELU: {"alpha": 1.0, "beta": 0.851, "gamma": 0.5},
        nn.Identity: {"alpha": 1.0, "beta": 0.0, "gamma": 1.0},
    }
    onnx_ops = ("Mul", "Sigmoid", "Mul", "Add", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor, gamma: Tensor) -> Tensor:
        # tanh(u) = 2 · sigmoid(2u) − 1: with α near 1, as at the start, 1 + tanh(u) would cancel on the left.
        return x * (2 * gamma * torch.sigmoid(2 * beta * limit(x, beta)) + gamma * (alpha - 1))


class BetaMish(Activation):
    """x · tanh(log((1 + exp(x))^β)): Mish whose gate opens earlier the larger β is.

    β has no bounds: at 0 the curve is 0, β = 1 is Mish, as β → ∞ it tends to ReLU; a negative β turns the
    sign. It starts at 1.5. It is computed as x · tanh(β · softplus(x)), which is the same function and cannot
    overflow. The form whose input is scaled is `ScaledMish`.

    Source: Misra 2019 (β-Mish), in the library of Mish's author, https://github.com/digantamisra98/Echo;
    there β is a fixed number, 1.5
    """

    learned = {"beta": Learned(1.5)}
    fixed_points = {nn.Mish: {"beta": 1.0}}
    onnx_ops = ("Abs", "Sigmoid", "Log", "Relu", "Sub", "Mul", "Tanh", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return x * torch.tanh(beta * F.softplus(x, threshold=SOFTPLUS_THRESHOLD))


class ErfAct(Activation):
    """x · erf(α · exp(βx)): a gate of the error function over an exponential.

    α > 0 sets how far the gate is open at x = 0. β is the steepness of the gate, without bounds; a negative β
    mirrors it. Both start at 0.75. It equals no plain activation.

    Source: Biswas et al. 2021, https://arxiv.org/abs/2109.04386; α is kept positive here, since its sign is
    that of the whole output.
    """

    learned = {"alpha": Learned(0.75, positive=True), "beta": Learned(0.75)}
    onnx_ops = ("Mul", "Add", "Clip", "Exp", "Erf", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        exponent = F.hardtanh(beta * x + alpha.log(), -math.inf, ERFACT_LARGEST_EXPONENT)
        return x * torch.erf(exponent.exp())


class Pserf(Activation):
    """x · erf(γ · log(1 + exp(δx))): a gate of the error function over softplus.

    γ sets how early the gate opens fully, δ its steepness. Both are unbounded; a negative δ mirrors the gate,
    and a negative γ turns its sign. γ starts at 1.25 and δ at 0.85. It equals no plain activation.

    Source: Biswas et al. 2021, https://arxiv.org/abs/2109.04386
    """

    learned = {"gamma": Learned(1.25), "delta": Learned(0.85)}
    onnx_ops = ("Mul", "Abs", "Sigmoid", "Log", "Relu", "Sub", "Mul", "Erf", "Mul")

    def formula(self, x: Tensor, gamma: Tensor, delta: Tensor) -> Tensor:
        return x * torch.erf(gamma * F.softplus(delta * x, threshold=SOFTPLUS_THRESHOLD))


class PSSiLU(Activation):
    """x · (sigmoid(ax) − b) / (1 − b): Swish whose left side keeps a slope.

    a sharpens the corner, without bounds. b < 1 shifts the gate down, so that the left side tends to the
    slope −b / (1 − b) while the right side keeps slope 1; b = 1 is a pole. They start at 1 and 0, where it
    equals SiLU; a = 1.702 is QuickGELU. It has the same curves as ACON-C with a right slope of 1.

    Source: after the survey of Kunc & Kléma 2024, https://arxiv.org/abs/2402.09092
    """

    learned = {"a": Learned(1.0), "b": Learned(0.0)}
    fixed_points = {nn.SiLU: {"a": 1.0, "b": 0.0}, QuickGELU: {"a": 1.702, "b": 0.0}}
    onnx_ops = ("Mul", "Sigmoid", "Sub", "Mul", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return x * ((torch.sigmoid(a * x) - b) / (1 - b))


class ScaledGELU(Activation):
    """x · Φ(kx): GELU whose corner k sharpens, Φ the standard normal distribution function.

    k > 0: as k tends to 0 the curve tends to x / 2, k = 1 is GELU, k → ∞ tends to ReLU. k starts at 1.
    `approximate="tanh"` uses torch's tanh form of GELU, which it then equals at k = 1.

    Source: Hendrycks & Gimpel 2016, https://arxiv.org/abs/1606.08415, for GELU; the scale after its
    parametric variants.
    """

    learned = {"k": Learned(1.0, positive=True)}
    fixed_points = {nn.GELU: {"k": 1.0}}
    onnx_ops = ("Mul", "Gelu", "Mul")

    def __init__(
        self,
        channels: int | None = None,
        channel_axis: int = 1,
        approximate: str = "none",
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
        **values: StartValue,
    ) -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f"`ScaledGELU` expects approximate `none` or `tanh`, got `{approximate}`")
        super().__init__(channels, channel_axis, device=device, dtype=dtype, **values)
        self.approximate = approximate

    def formula(self, x: Tensor, k: Tensor) -> Tensor:
        return F.gelu(k * x, approximate=self.approximate) / k

    def options(self) -> dict[str, Any]:
        return {"approximate": self.approximate}

    @classmethod
    def options_from(cls, plain: nn.Module) -> dict[str, Any]:
        return {"approximate": plain.approximate}


class ScaledMish(Activation):
    """x · tanh(log(1 + exp(βx))): Mish whose corner β sharpens.

    β > 0: as β tends to 0 the curve tends to 0.6 · x, β = 1 is Mish, β → ∞ tends to ReLU. β starts at 1. It
    is computed as Mish(βx) / β, which is the same function and cannot overflow.

    Source: Misra 2019, https://arxiv.org/abs/1908.08681, for Mish; the scale as in the scaled GELU. It is not
    β-Mish, which is `BetaMish`.
    """

    learned = {"beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Mish: {"beta": 1.0}}
    onnx_ops = ("Mul", "Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return F.mish(beta * x) / beta
