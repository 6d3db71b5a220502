"""ErfReLU."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import negative_part


class ErfReLU(Activation):
    """x for x ≥ 0, α · erf(x) for x < 0: ReLU whose left side is an error function of learned depth.

    α is the depth, without bounds: 0 is ReLU. Starts at 1. Equals ReLU.

    Source: after Rajanand & Singh 2023, https://arxiv.org/abs/2306.01822
    """

    learned = {"alpha": Learned(1.0)}
    fixed_points = {nn.ReLU: {"alpha": 0.0}}
    onnx_ops = ("Relu", "Min", "Erf", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.erf(negative_part(x))
