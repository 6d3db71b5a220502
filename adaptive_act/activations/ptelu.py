"""PTELU, the parametric tangent-hyperbolic linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import negative_part


class PTELU(Activation):
    """x for x ≥ 0, α · tanh(βx) for x < 0: ReLU whose left side is a tanh of learned depth and steepness.

    α is the depth (0 is ReLU, no bounds), β > 0 the steepness. Both start at 1. Equals ReLU.

    Source: after Duggal & Gupta 2017 (P-TELU), surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {nn.ReLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Relu", "Min", "Mul", "Tanh", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.tanh(beta * negative_part(x))
