"""MPELU."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import elu_below


class MPELU(Activation):
    """x for x ≥ 0, α · (exp(βx) − 1) for x < 0: ELU whose left side learns its depth and steepness.

    α is the depth (0 is ReLU, no bounds), β > 0 the steepness. Both start at 1, where it equals ELU and
    CELU with its default argument.

    Source: Li et al. 2016, https://arxiv.org/abs/1606.00305
    """

    learned = {"alpha": Learned(1.0), "beta": Learned(1.0, positive=True)}
    fixed_points = {
        nn.ELU: {"alpha": "alpha", "beta": 1.0},
        nn.CELU: {"alpha": 1.0, "beta": 1.0},
        nn.ReLU: {"alpha": 0.0, "beta": 1.0},
    }
    onnx_ops = ("Mul", "Elu", "Mul")

    def formula(self, x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        return elu_below(x, alpha, beta)
