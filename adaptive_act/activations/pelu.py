"""PELU."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class PELU(Activation):
    """a/b · x for x ≥ 0, a · (exp(x / b) − 1) for x < 0: ELU with learned depth and reach.

    a > 0 is the depth of the left side, b > 0 how far it reaches; the slope a/b is the same on both sides of
    zero. Both start at 1, where it equals ELU; with a = b it is CELU. Written as a · ELU(x / b), which
    is the same function and cannot overflow in the backward pass.

    Source: Trottier et al. 2016, https://arxiv.org/abs/1605.09332; there a and b are clamped at 0.1, here
    they are kept positive by their logarithms.
    """

    learned = {"a": Learned(1.0, positive=True), "b": Learned(1.0, positive=True)}
    fixed_points = {nn.ELU: {"a": 1.0, "b": 1.0}, nn.CELU: {"a": "alpha", "b": "alpha"}}
    onnx_ops = ("Mul", "Elu", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * F.elu(x / b)
