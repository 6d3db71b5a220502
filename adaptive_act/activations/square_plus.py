"""SquarePlus."""

from torch import Tensor

from adaptive_act.activation import Activation, Learned
from adaptive_act.kernels import hypotenuse


class SquarePlus(Activation):
    """(x + √(x² + b)) / 2: a smooth ReLU without an exponential.

    b > 0 is the size of the soft corner, √b / 2 high at zero. Starts at 4. As b tends to 0 it tends to ReLU,
    which it reaches for no value: it equals no plain activation.

    Source: Barron 2021, https://arxiv.org/abs/2112.11687
    """

    learned = {"b": Learned(4.0, positive=True)}
    onnx_ops = ("Mul", "Add", "Sqrt", "Add", "Mul")

    def formula(self, x: Tensor, b: Tensor) -> Tensor:
        return (x + hypotenuse(x, b.sqrt())) / 2
