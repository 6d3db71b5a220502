"""SLAF, the self-learnable activation function."""

from torch import Tensor, nn

from adaptive_act.activation import Activation, Learned


class SLAF(Activation):
    """Σ aₖxᵏ, k from 0 to 4: a polynomial, whose every coefficient is learned.

    a0 shifts, a1 is the slope at zero, a2 to a4 bend; none has bounds. Starts at a1 = 1 and the others at 0,
    where it equals the identity, so that the model is linear there until the coefficients have moved. It
    grows as x⁴: keep its inputs small (a normalisation before it), and its learning rate low. Half
    precision is computed in float32.

    Source: Goyal et al. 2019, https://arxiv.org/abs/1906.09529; there it may start near another activation
    """

    learned = {
        "a0": Learned(0.0),
        "a1": Learned(1.0),
        "a2": Learned(0.0),
        "a3": Learned(0.0),
        "a4": Learned(0.0),
    }
    fixed_points = {nn.Identity: {"a0": 0.0, "a1": 1.0, "a2": 0.0, "a3": 0.0, "a4": 0.0}}
    in_float32 = True
    onnx_ops = ("Mul", "Add") * 4

    def formula(self, x: Tensor, **coefficients: Tensor) -> Tensor:
        a0, a1, a2, a3, a4 = coefficients.values()
        return a0 + x * (a1 + x * (a2 + x * (a3 + x * a4)))
