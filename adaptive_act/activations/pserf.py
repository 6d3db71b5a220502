"""Pserf, the parametric smoothed error activation function."""

import torch
import torch.nn.functional as F
from torch import Tensor

from adaptive_act.activation import Activation, Learned


class Pserf(Activation):
    """x · erf(γ · log(1 + exp(δx))): a gate of the error function over softplus.

    δ is the steepness of the gate and γ how early it opens fully. Both are unbounded; negative δ mirrors, and
    negative γ turns the sign. They start at 1.25 and 0.85. It equals no plain activation.

    Source: Biswas et al. 2021, https://arxiv.org/abs/2109.04386
    """

    learned = {"gamma": Learned(1.25), "delta": Learned(0.85)}
    onnx_ops = ("Mul", "Abs", "Sigmoid", "Log", "Relu", "Sub", "Mul", "Erf", "Mul")

    def formula(self, x: Tensor, gamma: Tensor, delta: Tensor) -> Tensor:
        return x * torch.erf(gamma * F.softplus(delta * x))
