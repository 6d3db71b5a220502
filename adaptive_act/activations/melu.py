"""MeLU, the Mexican linear unit."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_slopes

HATS = ((2.0, 2.0), (1.0, 1.0), (3.0, 1.0))
"""The place and the half-width of each hat: a wide one, and two halves of it."""


class MeLU(Activation):
    """max(0, x) + a · min(0, x) + Σ cⱼ · max(0, wⱼ − |x − mⱼ|), j from 1 to 3: PReLU with hats.

    a is the slope left of zero; cⱼ raises or lowers a hat, a triangle that stays in its place: a wide one on
    [0, 4], and two narrow ones on [0, 2] and [2, 4]. None has bounds. Beyond 4 it stays x. All start at 0,
    where it equals ReLU; with c = 0 it is PReLU, and equals LeakyReLU, torch's PReLU and the identity.

    Source: after Maguolo et al. 2019, https://arxiv.org/abs/1905.02473; the hats are placed here for
    normalised inputs, there for those of images
    """

    learned = {"a": Learned(0.0), "c1": Learned(0.0), "c2": Learned(0.0), "c3": Learned(0.0)}
    fixed_points = {
        nn.ReLU: {"a": 0.0, "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.LeakyReLU: {"a": "negative_slope", "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.PReLU: {"a": "weight", "c1": 0.0, "c2": 0.0, "c3": 0.0},
        nn.Identity: {"a": 1.0, "c1": 0.0, "c2": 0.0, "c3": 0.0},
    }
    onnx_ops = ("LeakyRelu", *("Sub", "Abs", "Sub", "Relu", "Mul", "Add") * len(HATS))

    def formula(self, x: Tensor, a: Tensor, **heights: Tensor) -> Tensor:
        total = two_slopes(x, a)
        for height, (middle, width) in zip(heights.values(), HATS, strict=True):
            total = total + height * torch.relu(width - (x - middle).abs())
        return total
