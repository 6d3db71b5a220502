"""ErfAct."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.activation import Activation, Learned

# erf(exp(2)) is 1 in float64 too: a larger exponent changes nothing, and would overflow.
LARGEST_EXPONENT = 2.0


class ErfAct(Activation):
    """x · erf(α · exp(βx)): a gate of the error function over an exponential.

    α > 0 is how far the gate is open at x = 0; β is its steepness, without bounds, and mirrors where it is
    negative. They start at 0.75. It equals no plain activation.

    Source: Biswas et al. 2021, https://arxiv.org/abs/2109.04386; α is kept positive here, since its sign is
    that of the whole output.
    """

    learned = {"alpha": Learned(0.75, positive=True), "beta": Learned(0.75)}
    onnx_ops = ("Mul", "Add", "Clip", "Exp", "Erf", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        exponent = F.hardtanh(beta * x + alpha.log(), -math.inf, LARGEST_EXPONENT)
        return x * torch.erf(exponent.exp())
