"""BLU, the bendable linear unit."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import hypotenuse


class BLU(Activation):
    """β(√(x² + 1) − 1) + x: the identity, bent at zero.

    β is the bend: the slope tends to 1 − β on the left and 1 + β on the right. Between −1 and 1 it is
    increasing, at 1 a smooth ReLU of slope 2; nothing bounds it. Starts at 0, where it equals the identity.

    Source: after Godfrey 2019 (An evaluation of parametric activation functions for deep learning), IEEE SMC.
    """

    learned = {"beta": Learned(0.0)}
    fixed_points = {nn.Identity: {"beta": 0.0}}
    onnx_ops = ("Mul", "Add", "Sqrt", "Sub", "Mul", "Add")

    def formula(self, x: Tensor, beta: Tensor) -> Tensor:
        return beta * (hypotenuse(x, x.new_ones(())) - 1) + x
