"""AHAF, the adaptive hybrid activation function."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.plain import QuickGELU


class AHAF(Activation):
    """γx · sigmoid(βx): Swish with a learned height.

    γ is the slope that the right side tends to, without bounds; β > 0 sharpens the corner, towards ∞ up to
    ReLU. Both start at 1, where it equals SiLU; β = 1.702 is QuickGELU, and β = 1 under any γ E-swish
    (Alcaide 2018). Written as γ/β · SiLU(βx), which is the same function in fewer steps.

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
