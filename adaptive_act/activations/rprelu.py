"""RPReLU, the PReLU of ReActNet."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_slopes


class RPReLU(Activation):
    """max(0, x − γ) + β · min(0, x − γ) + ζ: PReLU whose corner moves, made for binary networks.

    γ and ζ are where the corner stands, across and up; β is the slope left of it. All without bounds; they
    start at 0, 0 and 0.25, which is PReLU. Equals ReLU, LeakyReLU, torch's PReLU and the identity.

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
