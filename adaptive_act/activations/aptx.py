"""APTx."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.plain import QuickGELU


class APTx(Activation):
    """(α + tanh(βx)) · γx: x with a gate of tanh, whose floor, steepness and height are learned.

    α lifts the gate: the slope is γ(α − 1) far on the left and γ(α + 1) far on the right; β is how quickly it
    passes from one to the other. All are unbounded and start at 1, 1, 1/2, where it is Swish with β = 2. At
    β = 1/2 instead it equals SiLU, at β = 0.851 QuickGELU, and at 1, 0, 1 the identity. Its curves are
    ACON-C's, reached along other parameters.

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
        return x * (2 * gamma * torch.sigmoid(2 * beta * x) + gamma * (alpha - 1))
