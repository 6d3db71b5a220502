"""PLU, the piecewise linear unit."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import clip


class PLU(Activation):
    """x for |x| ≤ c, slope α beyond: three joined lines between tanh and ReLU.

    c > 0 is the half-width of the middle, α the slope outside it, without bounds: 0 is Hardtanh, 1 the
    identity. They start at 1 and 0.1. Equals Hardtanh with bounds ±c, and the identity.

    Source: after Nicolae 2018, https://arxiv.org/abs/1809.09534; there it is written as
    max(α(x + c) − c, min(α(x − c) + c, x)), which is the same for α ≤ 1.
    """

    learned = {"alpha": Learned(0.1), "c": Learned(1.0, positive=True)}
    fixed_points = {nn.Hardtanh: {"alpha": 0.0, "c": "max_val"}, nn.Identity: {"alpha": 1.0, "c": 1.0}}
    onnx_ops = ("Clip", "Mul", "Mul", "Add")

    def formula(self, x: Tensor, alpha: Tensor, c: Tensor) -> Tensor:
        middle = clip(x, -c, c)
        return middle + alpha * (x - middle)
