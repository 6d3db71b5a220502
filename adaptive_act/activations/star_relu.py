"""StarReLU."""

import torch
from torch import Tensor

from adaptive_act.activation import Activation, Learned


class StarReLU(Activation):
    """s · max(0, x)² + b: squared ReLU with a learned scale and floor.

    s and b have no bounds and start at 0.8944 and −0.4472, with which normally distributed inputs keep mean 0
    and variance 1. s = 1, b = 0 is squared ReLU; it equals no plain activation of torch.

    Source: after Yu et al. 2022 (MetaFormer baselines), https://arxiv.org/abs/2210.13452
    """

    learned = {"s": Learned(0.8944), "b": Learned(-0.4472)}
    onnx_ops = ("Relu", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, s: Tensor, b: Tensor) -> Tensor:
        return s * torch.relu(x).square() + b
