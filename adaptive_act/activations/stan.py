"""Stan, the self-scalable tanh."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class Stan(Activation):
    """tanh(x) · (1 + βx): tanh that does not saturate, for outputs of unknown scale.

    β is the slope, upwards on both sides, that it tends to far from zero, without bounds. Starts at 1; with
    β = 0 it equals tanh.

    Source: Gnanasambandam et al. 2022, https://arxiv.org/abs/2204.12589
    """

    learned = {"beta": Learned(1.0)}
    fixed_points = {nn.Tanh: {"beta": 0.0}}
    onnx_ops = ("Tanh", "Mul", "Add", "Mul")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return torch.tanh(x) * (1 + beta * x)
