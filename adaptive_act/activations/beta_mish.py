"""β-Mish."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class BetaMish(Activation):
    """x · tanh(log(1 + exp(βx))): Mish whose corner β sharpens.

    β > 0: towards 0 it tends to 0.6 · x, 1 is Mish, towards ∞ it tends to ReLU. Starts at 1. Written as
    Mish(βx) / β, which is the same function and cannot overflow.

    Source: after Misra 2019, https://arxiv.org/abs/1908.08681, for Mish.
    """

    learned = {"beta": Learned(1.0, positive=True)}
    fixed_points = {nn.Mish: {"beta": 1.0}}
    onnx_ops = ("Mul", "Sigmoid", "Sub", "Mul", "Sub", "Div", "Mul", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return F.mish(beta * x) / beta
