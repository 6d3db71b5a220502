"""CosLU, the cosine linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class CosLU(Activation):
    """(x + α · cos(βx)) · sigmoid(x): SiLU with a ripple that the gate lets through.

    α is the height of the ripple and β its frequency, both without bounds. They start at 1; with α = 0 it
    equals SiLU, and α still receives its gradient.

    Source: after Pishchik 2023, https://www.preprints.org/manuscript/202301.0463
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0)}
    fixed_points = {nn.SiLU: {"alpha": 0.0, "beta": 1.0}}
    onnx_ops = ("Mul", "Cos", "Mul", "Add", "Sigmoid", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return (x + alpha * torch.cos(beta * x)) * torch.sigmoid(x)
