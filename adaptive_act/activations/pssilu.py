"""PSSiLU, the parametric shifted SiLU."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.plain import QuickGELU


class PSSiLU(Activation):
    """x · (sigmoid(ax) − b) / (1 − b): Swish whose left side keeps a slope.

    a sharpens the corner, without bounds; b < 1 shifts the gate down, so that the left side tends to the
    slope −b / (1 − b) while the right keeps slope 1; b = 1 is a pole. They start at 1 and 0, where it equals
    SiLU; a = 1.702 is QuickGELU. Its curves are those of ACON-C whose right slope is 1.

    Source: after the survey of Kunc & Kléma 2024, https://arxiv.org/abs/2402.09092
    """

    learned = {"a": Learned(1.0), "b": Learned(0.0)}
    fixed_points = {nn.SiLU: {"a": 1.0, "b": 0.0}, QuickGELU: {"a": 1.702, "b": 0.0}}
    onnx_ops = ("Mul", "Sigmoid", "Sub", "Mul", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return x * ((torch.sigmoid(a * x) - b) / (1 - b))
