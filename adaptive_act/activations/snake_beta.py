"""SnakeBeta."""

import torch
from torch import Tensor

from adaptive_act.activation import Activation, Learned


class SnakeBeta(Activation):
    """x + sin²(αx) / β: Snake whose ripple has a height of its own.

    α > 0 is the frequency of the ripple, and 1/β > 0 its height; both start at 1, where it equals Snake. As β
    tends to ∞ it tends to the identity, which it reaches for no value: it equals no plain activation.

    Source: Lee et al. 2022 (BigVGAN), https://arxiv.org/abs/2206.04658
    """

    learned = {"alpha": Learned(1.0, positive=True), "beta": Learned(1.0, positive=True)}
    onnx_ops = ("Mul", "Sin", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return x + torch.sin(alpha * x).square() / beta
