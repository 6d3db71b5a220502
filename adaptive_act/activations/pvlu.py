"""PVLU, the parametric variational linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class PVLU(Activation):
    """max(0, x) + α · sin(βx): ReLU with a ripple, which keeps a gradient on the left.

    α is the height of the ripple and β its frequency, both without bounds. They start at 0.1 and 1; with
    α = 0 it equals ReLU, and α still receives its gradient.

    Source: after Gupta & Ahuja 2021, https://arxiv.org/abs/2110.12246
    """

    learned = {"alpha": Learned(0.1), "beta": Learned(1.0)}
    fixed_points = {nn.ReLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Relu", "Mul", "Sin", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return torch.relu(x) + alpha * torch.sin(beta * x)
