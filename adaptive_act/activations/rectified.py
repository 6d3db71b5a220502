"""ReLU with learned slopes, shifts or powers."""

import torch
from torch import Tensor, nn

from adaptive_act.activation import Activation
from adaptive_act.kernels import two_lines, two_slopes
from adaptive_act.learned import Learned

# The left slope stays between these.
_ARELU_LOWEST, _ARELU_HIGHEST = 0.01, 0.99


class PReLU(Activation):
    """max(0, x) + a · min(0, x): ReLU whose left side has a slope.

    a is the slope left of zero: 0 is ReLU, 1 the identity, negative values fold the left side upwards.
    Starts at 0.25, without bounds. Equals ReLU, LeakyReLU, torch's PReLU and the identity.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852
    """

    learned = {"a": Learned(0.25)}
    fixed_points = {
        nn.ReLU: {"a": 0.0},
        nn.LeakyReLU: {"a": "negative_slope"},
        nn.PReLU: {"a": "weight"},
        nn.Identity: {"a": 1.0},
    }
    onnx_ops = ("LeakyRelu",)

    def formula(self, x: Tensor, a: Tensor) -> Tensor:
        return two_slopes(x, a)


class DPReLU(Activation):
    """p · max(0, x) + n · min(0, x): ReLU with a slope on each side.

    p is the slope right of zero, n the slope left of it. Both have no bounds and start at 1 and 0.01. Equals
    ReLU, LeakyReLU, torch's PReLU and the identity. LeLeLU, which has one scale for both sides of a
    LeakyReLU, is `Affine(base="LeakyReLU")`.

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


class RPReLU(Activation):
    """max(0, x − γ) + β · min(0, x − γ) + ζ: PReLU whose corner moves, made for binary networks.

    γ and ζ are the horizontal and vertical position of the corner; β is the slope left of it. All are
    unbounded. γ and ζ start at 0 and β at 0.25, which is PReLU. Equals ReLU, LeakyReLU, torch's PReLU and the
    identity.

    Source: after Liu et al. 2020, https://arxiv.org/abs/2003.03488
    """

    learned = {"gamma": Learned(0.0), "beta": Learned(0.25), "zeta": Learned(0.0)}
    fixed_points = {
        nn.ReLU: {"gamma": 0.0, "beta": 0.0, "zeta": 0.0},
        nn.LeakyReLU: {"gamma": 0.0, "beta": "negative_slope", "zeta": 0.0},
        nn.PReLU: {"gamma": 0.0, "beta": "weight", "zeta": 0.0},
        nn.Identity: {"gamma": 0.0, "beta": 1.0, "zeta": 0.0},
    }
    onnx_ops = ("Sub", "LeakyRelu", "Add")

    def formula(self, x: Tensor, gamma: Tensor, beta: Tensor, zeta: Tensor) -> Tensor:
        return two_slopes(x - gamma, beta) + zeta


class AReLU(Activation):
    """(1 + σ(b)) · x for x ≥ 0, clip(a, 0.01, 0.99) · x for x < 0: amplifies right of zero, attenuates left.

    a is the slope left of zero, clamped to [0.01, 0.99]; outside that range it gets no gradient. b sets the
    slope right of zero, between 1 and 2. They start at 0.9 and 2. It equals no plain activation, since the
    right slope is never 1.

    Source: after Chen et al. 2020, https://arxiv.org/abs/2006.13858
    """

    learned = {"a": Learned(0.9), "b": Learned(2.0)}
    onnx_ops = ("LeakyRelu", "Mul")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        left = a.clamp(_ARELU_LOWEST, _ARELU_HIGHEST)
        return two_lines(x, 1 + torch.sigmoid(b), left)


class ShiLU(Activation):
    """a · max(0, x) + b: ReLU with a learned scale and a learned floor.

    a is the slope right of zero, b the value left of it. Both have no bounds and start at 1 and 0, where it
    equals ReLU. With a = 1 it is the flexible ReLU (FReLU). Between linear layers both fold away at export.

    Source: after Pishchik 2023, surveyed in https://arxiv.org/abs/2402.09092; for FReLU after Qiu et al.
    2018, https://arxiv.org/abs/1706.08098
    """

    learned = {"a": Learned(1.0), "b": Learned(0.0)}
    fixed_points = {nn.ReLU: {"a": 1.0, "b": 0.0}}
    onnx_ops = ("Relu", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return a * torch.relu(x) + b


class StarReLU(Activation):
    """s · max(0, x)² + b: squared ReLU with a learned scale and floor.

    s and b have no bounds and start at 0.8944 and −0.4472, with which normally distributed inputs keep mean 0
    and variance 1. s = 1, b = 0 is squared ReLU; it equals no plain activation of torch.

    Source: after Yu et al. 2022 (MetaFormer baselines), https://arxiv.org/abs/2210.13452
    """

    learned = {"s": Learned(0.8944), "b": Learned(-0.4472)}
    onnx_ops = ("Relu", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, s: Tensor, b: Tensor) -> Tensor:
        right = torch.relu(x)
        return s * right * right + b  # from left to right: the square alone would overflow sooner
