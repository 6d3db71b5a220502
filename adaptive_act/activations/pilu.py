"""PiLU, the piecewise linear unit with a movable knot."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import two_lines


class PiLU(Activation):
    """c + a · max(0, x − c) + b · min(0, x − c): two lines that meet on the diagonal, at c.

    a is the slope right of the knot c, b the one left of it; all without bounds, starting at 1, 0.01 and 1.
    With a = b = 1 it is the identity wherever the knot. Equals ReLU, LeakyReLU and torch's PReLU at c = 0,
    and the identity.

    Source: after Inturrisi et al. 2021, surveyed in https://arxiv.org/abs/2402.09092
    """

    learned = {"a": Learned(1.0), "b": Learned(0.01), "c": Learned(1.0)}
    fixed_points = {
        nn.ReLU: {"a": 1.0, "b": 0.0, "c": 0.0},
        nn.LeakyReLU: {"a": 1.0, "b": "negative_slope", "c": 0.0},
        nn.PReLU: {"a": 1.0, "b": "weight", "c": 0.0},
        nn.Identity: {"a": 1.0, "b": 1.0, "c": 0.0},
    }
    onnx_ops = ("Sub", "LeakyRelu", "Mul", "Add")

    def formula(self, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return two_lines(x - c, a, b) + c
