"""PSELU."""

import torch.nn.functional as F
from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_slopes

# The constants that torch's SELU holds.
_ALPHA, _GAMMA = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


class PSELU(Activation):
    """γ · x for x ≥ 0, γα · (exp(x) − 1) for x < 0: SELU whose scale and depth are learned.

    γ > 0 scales the whole; α, without bounds, is the depth of the left side before that (0 is ReLU). They
    start at SELU's 1.0507 and 1.6733. Equals SELU, ELU, CELU with its default argument, and ReLU.

    Source: after Klambauer et al. 2017, https://arxiv.org/abs/1706.02515, with its constants learned
    """

    learned = {"gamma": Learned(_GAMMA, positive=True), "alpha": Learned(_ALPHA)}
    fixed_points = {
        nn.SELU: {"gamma": _GAMMA, "alpha": _ALPHA},
        nn.ELU: {"gamma": 1.0, "alpha": "alpha"},
        nn.CELU: {"gamma": 1.0, "alpha": 1.0},
        nn.ReLU: {"gamma": 1.0, "alpha": 0.0},
    }
    onnx_ops = ("Elu", "LeakyRelu", "Mul")

    def formula(self, x: Tensor, gamma: Tensor, alpha: Tensor) -> Tensor:
        return gamma * two_slopes(F.elu(x), alpha)
