"""DPReLU."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_lines


class DPReLU(Activation):
    """p · max(0, x) + n · min(0, x): ReLU with a slope on each side.

    p is the slope right of zero, n the one left of it; both without bounds, starting at 1 and 0.01. Equals
    ReLU, LeakyReLU, torch's PReLU and the identity. LeLeLU, one scale for both sides of a LeakyReLU, is
    `Affine(base="LeakyReLU")`.

    Source: after Balaji et al. 2019, https://arxiv.org/abs/1912.10752 (the dual line), without its bias,
    which the next layer's can take over.
    """

    learned = {"p": Learned(1.0), "n": Learned(0.01)}
    fixed_points = {
        nn.ReLU: {"p": 1.0, "n": 0.0},
        nn.LeakyReLU: {"p": 1.0, "n": "negative_slope"},
        nn.PReLU: {"p": 1.0, "n": "weight"},
        nn.Identity: {"p": 1.0, "n": 1.0},
    }
    onnx_ops = ("LeakyRelu", "Mul")

    def formula(self, x: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return two_lines(x, p, n)
