"""ShiLU, the shifted rectified linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class ShiLU(Activation):
    """a · max(0, x) + b: ReLU with a learned scale and a learned floor.

    a is the slope right of zero, b the value left of it; both without bounds, starting at 1 and 0, where it
    equals ReLU. With a = 1 it is the flexible ReLU (FReLU). Between linear layers both fold away at export.

    Source: after Pishchik 2023, surveyed in https://arxiv.org/abs/2402.09092; for FReLU after Qiu et al.
    2018, https://arxiv.org/abs/1706.08098
    """

    learned = {"a": Learned(1.0), "b": Learned(0.0)}
    fixed_points = {nn.ReLU: {"a": 1.0, "b": 0.0}}
    onnx_ops = ("Relu", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * torch.relu(x) + b
