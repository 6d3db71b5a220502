"""PREU, the parametric rectified exponential unit."""

import torch
from torch import Tensor

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import negative_part


class PREU(Activation):
    """αx for x ≥ 0, αx · exp(βx) for x < 0: a line whose left side dips and dies out, as Swish does.

    α is the slope at and right of zero, without bounds; β > 0 sets how soon the left side dies out: towards
    0 it tends to a straight line, towards ∞ to a scaled ReLU. Both start at 1. Equals no plain activation.

    Source: after Ying et al. 2019, surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    onnx_ops = ("Min", "Mul", "Exp", "Mul", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return alpha * (x * torch.exp(beta * negative_part(x)))
