"""Smooth approximations of ReLU."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.kernels import limit, times
from adaptive_act.learned import Learned

# Above it torch gives x itself, which is then exact in float64 too; torch's own 20 is exact in float32 only.
SOFTPLUS_THRESHOLD = 40


class AdaptiveSoftplus(Activation):
    """log(1 + exp(βx)) / β: Softplus whose corner β sharpens.

    β > 0: the height at zero is log(2)/β, and the curve tends to ReLU as β tends to ∞. β starts at 1. It
    equals torch's Softplus with the same β.

    Source: after Dugas et al. 2000 (Incorporating second-order functional knowledge for better option
    pricing), NIPS 13, for Softplus.
    """

    learned = {"beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Softplus: {"beta": "beta"}}
    onnx_ops = ("Mul", "Abs", "Sigmoid", "Log", "Relu", "Sub", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return F.softplus(beta * x, threshold=SOFTPLUS_THRESHOLD) / beta


class BLU(Activation):
    """β(√(x² + 1) − 1) + x: the identity, bent at zero.

    β is the bend: the slope tends to 1 − β on the left and 1 + β on the right. With β between −1 and 1 the
    curve is increasing; β = 1 is a smooth ReLU of slope 2. β has no bounds and starts at 0, where it equals
    the identity.

    Source: after Godfrey 2019 (An evaluation of parametric activation functions for deep learning), IEEE SMC.
    """

    learned = {"beta": Learned(0.0)}
    fixed_points = {nn.Identity: {"beta": 0.0}}
    onnx_ops = ("Mul", "Add", "Sqrt", "Sub", "Mul", "Add")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return beta * (hypotenuse(limit(x, beta), x.new_ones(())) - 1) + x


class SMU(Activation):
    """((1 + α)x + (1 − α)x · erf(μ(1 − α)x)) / 2: leaky ReLU with a soft corner.

    α is the slope left of zero, without bounds. μ > 0 is the sharpness of the corner; as μ tends to ∞ the
    curve tends to leaky ReLU. They start at 0 and 1/√2, where it equals GELU; with α = 1 it equals the
    identity. It is computed as GELU(k(1 − α)x) / k + αx with k = √2 · μ, which is the same function in fewer
    steps.

    Source: Biswas et al. 2021, https://arxiv.org/abs/2111.04682; code after it starts at α = 1/4 and μ = 10⁶,
    where μ gets no gradient.
    """

    learned = {"alpha": Learned(0.0), "mu": Learned(math.sqrt(0.5), positive=True)}
    fixed_points = {
        nn.GELU: {"alpha": 0.0, "mu": math.sqrt(0.5)},
        nn.Identity: {"alpha": 1.0, "mu": math.sqrt(0.5)},
    }
    onnx_ops = ("Mul", "Gelu", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, mu: Tensor) -> Tensor:
        # 1 at the start in every precision, which a product with √2 would miss by a rounding.
        sharpness = mu / math.sqrt(0.5)
        return F.gelu(times(sharpness * (1 - alpha), x)) / sharpness + times(alpha, x)


class SquarePlus(Activation):
    """(x + √(x² + b)) / 2: a smooth ReLU without an exponential.

    b > 0 is the size of the soft corner; the height at zero is √b / 2. b starts at 4. As b tends to 0 the
    curve tends to ReLU but never reaches it, so it equals no plain activation.

    Source: Barron 2021, https://arxiv.org/abs/2112.11687
    """

    learned = {"b": Learned(4.0, positive=True)}
    onnx_ops = ("Mul", "Mul", "Add", "Sqrt", "Add")

    def formula(self, x: Tensor, b: Tensor) -> Tensor:
        half = x / 2  # first, so that their sum does not overflow
        return half + hypotenuse(half, b.sqrt() / 2)


def hypotenuse(x: Tensor, side: Tensor) -> Tensor:
    """√(x² + side²), finite where x² overflows; side is above 0, where the gradient needs it.

    ONNX has no such operator: a graph that is being exported gets the squares.
    """
    if torch.compiler.is_exporting():
        return (x * x + side * side).sqrt()
    return torch.hypot(x, side)
