"""SMU, the smooth maximum unit."""

import math

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class SMU(Activation):
    """((1 + α)x + (1 − α)x · erf(μ(1 − α)x)) / 2: leaky ReLU with a soft corner.

    α is the slope left of zero, without bounds, and μ > 0 how sharp the corner is: towards ∞ it tends to
    leaky ReLU. They start at 0 and 1/√2, where it equals GELU; with α = 1 it equals the identity. Written as
    GELU(k(1 − α)x) / k + αx with k = √2 · μ, which is the same function in fewer steps.

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
        return F.gelu(sharpness * (1 - alpha) * x) / sharpness + alpha * x
