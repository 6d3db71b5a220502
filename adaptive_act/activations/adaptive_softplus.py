"""Adaptive Softplus."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned

# Above it torch gives x itself, which is then exact in float64 too; torch's own 20 is exact in float32 only.
THRESHOLD = 40


class AdaptiveSoftplus(Activation):
    """log(1 + exp(βx)) / β: Softplus whose corner β sharpens.

    β > 0: it is log(2)/β high at zero and tends to ReLU as β tends to ∞. Starts at 1. Equals torch's Softplus
    of the same β.

    Source: after Dugas et al. 2000 (Incorporating second-order functional knowledge for better option
    pricing), NIPS 13, for Softplus.
    """

    learned = {"beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Softplus: {"beta": "beta"}}
    onnx_ops = ("Mul", "Abs", "Sigmoid", "Log", "Relu", "Sub", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return F.softplus(beta * x, threshold=THRESHOLD) / beta
