"""Snake."""

import torch
from torch import Tensor

from adaptive_act.activation import Activation, Learned


class Snake(Activation):
    """x + sin²(ax) / a: the identity with a periodic part, for signals that repeat.

    a > 0 is the frequency of the ripple, and 1/a its height; it starts at 1. As a tends to 0 it tends to the
    identity, which it reaches for no value: it equals no plain activation.

    Source: Ziyin et al. 2020, https://arxiv.org/abs/2006.08195
    """

    learned = {"a": Learned(1.0, positive=True)}
    onnx_ops = ("Mul", "Sin", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return x + torch.sin(a * x).square() / a
