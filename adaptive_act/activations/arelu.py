"""AReLU, the attention-based rectified linear unit."""

import torch
from torch import Tensor

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_lines

# The left slope stays between these.
_LOWEST, _HIGHEST = 0.01, 0.99


class AReLU(Activation):
    """(1 + σ(b)) · x for x ≥ 0, clip(a, 0.01, 0.99) · x for x < 0: amplifies right of zero, attenuates left.

    a is the slope left of zero, held in [0.01, 0.99]; beyond that it acts as the bound and gets no gradient.
    b sets the slope right of zero, between 1 and 2. They start at 0.9 and 2. Equals no plain activation: the
    right slope comes to 1 for no value of b.

    Source: after Chen et al. 2020, https://arxiv.org/abs/2006.13858
    """

    learned = {"a": Learned(0.9), "b": Learned(2.0)}
    onnx_ops = ("LeakyRelu", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        left = a.clamp(_LOWEST, _HIGHEST)
        return two_lines(x, 1 + torch.sigmoid(b), left)
