"""ACON-C."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.plain import QuickGELU


class ACONC(Activation):
    """(p₁ − p₂)x · sigmoid(β(p₁ − p₂)x) + p₂x: a smooth maximum of two learned lines, p₁x and p₂x.

    p₁ and p₂ are the slopes that the two sides tend to, β how sharply one passes into the other: towards ∞ it
    tends to max(p₁x, p₂x), at 0 it is their mean, negative β makes it a smooth minimum. All are unbounded and
    start at 1, 0, 1, where it equals SiLU; β = 1.702 is QuickGELU, and equal slopes of 1 are the identity.

    Source: Ma et al. 2021, https://arxiv.org/abs/2009.04759; there p₁ and p₂ start at random.
    """

    learned = {"p1": Learned(1.0), "p2": Learned(0.0), "beta": Learned(1.0)}
    fixed_points = {
        nn.SiLU: {"p1": 1.0, "p2": 0.0, "beta": 1.0},
        QuickGELU: {"p1": 1.0, "p2": 0.0, "beta": 1.702},
        nn.Identity: {"p1": 1.0, "p2": 1.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Sigmoid", "Mul", "Add", "Mul")

    def formula(self, x: Tensor, p1: Tensor, p2: Tensor, beta: Tensor) -> Tensor:
        apart = p1 - p2
        return x * (apart * torch.sigmoid(beta * apart * x) + p2)
