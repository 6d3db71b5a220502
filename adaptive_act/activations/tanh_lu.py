"""TanhLU."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class TanhLU(Activation):
    """α · tanh(λx) + βx: tanh with a line added, which keeps a slope where tanh saturates.

    α is the height of the tanh part, λ its steepness, β the slope of the line. All are unbounded and start at
    1, 1, 0, where it equals tanh; with α = 0 and β = 1 it equals the identity.

    Source: after Shen et al. 2022, https://doi.org/10.1016/j.eswa.2022.117181
    """

    learned = {"alpha": Learned(1.0), "lambd": Learned(1.0), "beta": Learned(0.0)}
    fixed_points = {
        nn.Tanh: {"alpha": 1.0, "lambd": 1.0, "beta": 0.0},
        nn.Identity: {"alpha": 0.0, "lambd": 1.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Tanh", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, lambd: Tensor, beta: Tensor) -> Tensor:
        return alpha * torch.tanh(lambd * x) + beta * x
