"""APL, the adaptive piecewise linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class APL(Activation):
    """max(0, x) + Σ aₛ · max(0, bₛ − x), s from 1 to 2: ReLU that bends left of learned hinges.

    aₛ is how much the slope falls left of the hinge bₛ. Neither has bounds. Right of all hinges it stays
    ReLU. Starts at a = 0, where it equals ReLU, with the hinges at ±1/2: they begin to move once a has. At
    a1 = −1 with b1 = 0 it equals the identity.

    Source: Agostinelli et al. 2014, https://arxiv.org/abs/1412.6830; there a and b start at random
    """

    learned = {"a1": Learned(0.0), "b1": Learned(-0.5), "a2": Learned(0.0), "b2": Learned(0.5)}
    fixed_points = {
        nn.ReLU: {"a1": 0.0, "b1": -0.5, "a2": 0.0, "b2": 0.5},
        nn.Identity: {"a1": -1.0, "b1": 0.0, "a2": 0.0, "b2": 0.5},
    }
    onnx_ops = ("Relu", *("Sub", "Relu", "Mul", "Add") * 2)

    def formula(self, x: Tensor, a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor) -> Tensor:
        return torch.relu(x) + a1 * torch.relu(b1 - x) + a2 * torch.relu(b2 - x)
