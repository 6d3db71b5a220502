"""Swish."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.plain import QuickGELU


class Swish(Activation):
    """x · sigmoid(βx): ReLU with a soft corner that β sharpens.

    β = 0 is x / 2, β = 1 is SiLU, β → ∞ tends to ReLU; negative β mirrors. Starts at 1, without bounds.

    Source: Ramachandran et al. 2017, https://arxiv.org/abs/1710.05941
    """

    learned = {"beta": Learned(1.0)}
    fixed_points = {nn.SiLU: {"beta": 1.0}, QuickGELU: {"beta": 1.702}}
    onnx_ops = ("Mul", "Sigmoid", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return x * torch.sigmoid(beta * x)
