"""PReLU."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_slopes


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
